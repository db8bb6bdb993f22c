/*
 * What bindgen reads. Functions and types are bound only when build.rs names them.
 *
 * The fields of rte_mbuf are reached by these offsets, never by name: between DPDK versions the
 * path to a field changes (unions come and go), its offset has not.
 */
#include "shim.h"

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_version.h>

static const size_t VSW_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr);
static const size_t VSW_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off);
static const size_t VSW_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs);
static const size_t VSW_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags);
static const size_t VSW_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len);
static const size_t VSW_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len);
static const size_t VSW_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len);

static const uint64_t VSW_MBUF_RX_VLAN_STRIPPED = RTE_MBUF_F_RX_VLAN_STRIPPED;
/* The flags that say where the data lives; all others describe one receive or transmit. */
static const uint64_t VSW_MBUF_STORAGE_FLAGS = RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
static const uint64_t VSW_MBUF_INDIRECT = RTE_MBUF_F_INDIRECT;

static const uint16_t VSW_MBUF_HEADROOM = RTE_PKTMBUF_HEADROOM;
static const unsigned int VSW_MAX_LCORE = RTE_MAX_LCORE;
