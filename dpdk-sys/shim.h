/*
 * What bindgen cannot bind: DPDK's inline functions, and structs whose layout differs between
 * DPDK versions. Rust sees only the types of this file, which are ours and do not change.
 */
#ifndef VSW_SHIM_H
#define VSW_SHIM_H

#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

/* What the switch wants to know about an ethdev. */
struct vsw_port_info {
	char name[64];          /* of the device, NUL-terminated */
	char driver[64];        /* of the driver, NUL-terminated */
	uint8_t mac[6];
	uint16_t mtu;
	uint16_t min_mtu;
	uint16_t max_mtu;
	uint16_t max_rx_queues;
	uint16_t max_tx_queues;
	uint32_t if_index;      /* of the kernel's interface behind the device; 0: none */
	uint32_t max_frame;     /* longest frame that the device can receive, with FCS */
	int32_t numa_node;      /* -1: unknown or none */
	uint8_t multi_segment;  /* sends frames that lie in several buffers */
};

/* What the switch asks of an ethdev. The one offload asked for is that of frames in several buffers. */
struct vsw_port_conf {
	uint16_t rx_queues;
	uint16_t tx_queues;
	uint16_t mtu;           /* 0: the device's default */
	uint8_t rss;            /* spread over the rx queues by IP addresses and ports */
};

struct vsw_port_link {
	uint32_t speed_mbps;    /* UINT32_MAX: unknown */
	uint8_t up;
	uint8_t full_duplex;
};

/* Frames that the device lost on its own, since it was started. */
struct vsw_port_losses {
	uint64_t rx_missed;     /* no free descriptor */
	uint64_t rx_errors;
	uint64_t rx_no_mbuf;    /* the mempool was empty */
	uint64_t tx_errors;
};

/* One piece of DPDK's log; level is an RTE_LOG_*. */
typedef void (*vsw_log_fn)(uint32_t level, const char *text, size_t len);

/* Sends DPDK's log to `write`, from any thread, for the rest of the process. 0, or an errno. */
int vsw_log_to(vsw_log_fn write);

int vsw_errno(void);
/* Where EAL looks for drivers: set when DPDK was built. */
const char *vsw_plugin_folder(void);
unsigned int vsw_lcore_id(void);
uint64_t vsw_tsc(void);

struct rte_mbuf *vsw_mbuf_alloc(struct rte_mempool *pool);
void vsw_mbuf_free(struct rte_mbuf *mbuf);
/* Copies the first bytes of a frame, out of however many buffers; `count` is at most its length. */
void vsw_mbuf_read(const struct rte_mbuf *mbuf, uint32_t count, void *to);

/* An mbuf that refers to the data of another, or one with a copy of the first `own` bytes before such a one. */
struct rte_mbuf *vsw_mbuf_share(struct rte_mbuf *mbuf, struct rte_mempool *pool);
struct rte_mbuf *vsw_mbuf_share_behind(struct rte_mbuf *mbuf, struct rte_mempool *pool, uint16_t own);
uint16_t vsw_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t vsw_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);

/* These return 0 or a negative errno. */
int vsw_port_info(uint16_t port, struct vsw_port_info *info);
int vsw_port_configure(uint16_t port, const struct vsw_port_conf *conf);
int vsw_port_link(uint16_t port, struct vsw_port_link *link);
int vsw_port_losses(uint16_t port, struct vsw_port_losses *losses);
/* Closes a stopped port, and removes its device when no other port is on it. */
int vsw_port_close(uint16_t port);

#endif
