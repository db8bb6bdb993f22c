#define _GNU_SOURCE /* fopencookie */

#include "shim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_version.h>

/* The accessors in src/mbuf.rs read and write these fields with these widths. */
#define FIELD_IS(type, field) \
	_Static_assert(sizeof(((struct rte_mbuf *)0)->field) == sizeof(type), #field)
FIELD_IS(void *, buf_addr);
FIELD_IS(uint16_t, data_off);
FIELD_IS(uint16_t, nb_segs);
FIELD_IS(uint64_t, ol_flags);
FIELD_IS(uint32_t, pkt_len);
FIELD_IS(uint16_t, data_len);
FIELD_IS(uint16_t, buf_len);
_Static_assert(RTE_VERSION >= RTE_VERSION_NUM(22, 11, 0, 0), "DPDK 22.11 or newer");
_Static_assert(sizeof(struct rte_ether_addr) == 6, "a MAC address is its six bytes");
_Static_assert(sizeof(((struct vsw_port_info *)0)->name) >= RTE_ETH_NAME_MAX_LEN, "name");

int vsw_errno(void) { return rte_errno; }
const char *vsw_plugin_folder(void) { return RTE_EAL_PMD_PATH; }
unsigned int vsw_lcore_id(void) { return rte_lcore_id(); }
uint64_t vsw_tsc(void) { return rte_rdtsc(); }

struct rte_mbuf *vsw_mbuf_alloc(struct rte_mempool *pool) { return rte_pktmbuf_alloc(pool); }
void vsw_mbuf_free(struct rte_mbuf *mbuf) { rte_pktmbuf_free(mbuf); }

struct rte_mbuf *vsw_mbuf_share(struct rte_mbuf *mbuf, struct rte_mempool *pool)
{
	return rte_pktmbuf_clone(mbuf, pool);
}

struct rte_mbuf *vsw_mbuf_share_behind(struct rte_mbuf *mbuf, struct rte_mempool *pool, uint16_t own)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool);
	struct rte_mbuf *shared;
	char *copy;

	if (head == NULL)
		return NULL;
	shared = rte_pktmbuf_clone(mbuf, pool);
	copy = rte_pktmbuf_append(head, own);
	/* The clone has offsets of its own: taking bytes off it leaves the frame as it is. */
	if (shared == NULL || copy == NULL || rte_pktmbuf_adj(shared, own) == NULL ||
	    rte_pktmbuf_chain(head, shared) != 0) {
		rte_pktmbuf_free(shared);
		rte_pktmbuf_free(head);
		return NULL;
	}
	memcpy(copy, rte_pktmbuf_mtod(mbuf, const char *), own);
	return head;
}

void vsw_mbuf_read(const struct rte_mbuf *mbuf, uint32_t count, void *to)
{
	const void *from = rte_pktmbuf_read(mbuf, 0, count, to);

	/* In one buffer it is not copied. */
	if (from != NULL && from != to)
		memcpy(to, from, count);
}

uint16_t vsw_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_rx_burst(port, queue, mbufs, count);
}

uint16_t vsw_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_tx_burst(port, queue, mbufs, count);
}

int vsw_port_info(uint16_t port, struct vsw_port_info *info)
{
	struct rte_eth_dev_info dev;
	struct rte_ether_addr mac;
	int error;

	memset(info, 0, sizeof(*info));
	error = rte_eth_dev_info_get(port, &dev);
	if (error != 0)
		return error;
	error = rte_eth_macaddr_get(port, &mac);
	if (error != 0)
		return error;
	error = rte_eth_dev_get_mtu(port, &info->mtu);
	if (error != 0)
		return error;
	error = rte_eth_dev_get_name_by_port(port, info->name);
	if (error != 0)
		return error;
	if (dev.driver_name != NULL)
		snprintf(info->driver, sizeof(info->driver), "%s", dev.driver_name);
	memcpy(info->mac, &mac, sizeof(info->mac));
	info->min_mtu = dev.min_mtu;
	info->max_mtu = dev.max_mtu;
	info->max_rx_queues = dev.max_rx_queues;
	info->max_tx_queues = dev.max_tx_queues;
	info->if_index = dev.if_index;
	info->max_frame = dev.max_rx_pktlen;
	info->multi_segment = (dev.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
	info->numa_node = rte_eth_dev_socket_id(port);
	return 0;
}

int vsw_port_configure(uint16_t port, const struct vsw_port_conf *conf)
{
	struct rte_eth_conf eth;
	struct rte_eth_dev_info dev;
	int error = rte_eth_dev_info_get(port, &dev);

	if (error != 0)
		return error;
	memset(&eth, 0, sizeof(eth));
	/* Frames of several buffers, where the device can: flooded copies share their payload. */
	eth.txmode.offloads = dev.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	eth.rxmode.mtu = conf->mtu;
	if (conf->rss) {
		uint64_t wanted = RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP;

		eth.rx_adv_conf.rss_conf.rss_hf = wanted & dev.flow_type_rss_offloads;
		if (eth.rx_adv_conf.rss_conf.rss_hf != 0)
			eth.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	}
	return rte_eth_dev_configure(port, conf->rx_queues, conf->tx_queues, &eth);
}

int vsw_port_link(uint16_t port, struct vsw_port_link *link)
{
	struct rte_eth_link eth;
	int error = rte_eth_link_get_nowait(port, &eth);

	if (error != 0)
		return error;
	link->speed_mbps = eth.link_speed;
	link->up = eth.link_status == RTE_ETH_LINK_UP;
	link->full_duplex = eth.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
	return 0;
}

int vsw_port_losses(uint16_t port, struct vsw_port_losses *losses)
{
	struct rte_eth_stats stats;
	int error = rte_eth_stats_get(port, &stats);

	if (error != 0)
		return error;
	losses->rx_missed = stats.imissed;
	losses->rx_errors = stats.ierrors;
	losses->rx_no_mbuf = stats.rx_nombuf;
	losses->tx_errors = stats.oerrors;
	return 0;
}

int vsw_port_close(uint16_t port)
{
	struct rte_eth_dev_info dev;
	uint16_t sibling;
	int error = rte_eth_dev_info_get(port, &dev);

	if (error != 0)
		return error;
	error = rte_eth_dev_close(port);
	if (error != 0 || dev.device == NULL)
		return error;
	RTE_ETH_FOREACH_DEV_OF(sibling, dev.device)
		return 0;
	return rte_dev_remove(dev.device);
}

static vsw_log_fn log_fn;

static ssize_t log_write(void *cookie, const char *text, size_t len)
{
	(void)cookie;
	log_fn((uint32_t)rte_log_cur_msg_loglevel(), text, len);
	return (ssize_t)len;
}

int vsw_log_to(vsw_log_fn write)
{
	cookie_io_functions_t io = { .write = log_write };
	FILE *stream = fopencookie(NULL, "w", io);

	if (stream == NULL)
		return errno;
	log_fn = write;
	/* DPDK flushes after each message. Line buffering also covers what it forgets to flush. */
	setvbuf(stream, NULL, _IOLBF, 4096);
	return -rte_openlog_stream(stream);
}
