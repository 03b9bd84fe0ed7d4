/* SPDX-License-Identifier: Apache-2.0 */
/* The API's answers as the pages read them; server/openapi.json is the whole truth. Members that are absent are not
 * known: that is not the same as 0. */

/**
 * @typedef {Object} Derived
 * @property {number} bytes
 * @property {number} c2s_bytes
 * @property {number} s2c_bytes
 * @property {number} attempts
 * @property {number} opened
 * @property {number} closed
 * @property {number} failed
 * @property {Record<string, number>} failed_by
 * @property {number} resets
 * @property {number} retransmitted
 * @property {number} segs
 * @property {number} [retransmit_ratio]
 * @property {number} [bytes_per_s]
 * @property {number} [opened_per_s]
 * @property {number} [mean_open]
 * @property {number} [srtt_p50_us]
 * @property {number} [srtt_p99_us]
 * @property {number} [srtt_c2s_p50_us]
 * @property {number} [srtt_c2s_p99_us]
 * @property {number} [srtt_s2c_p50_us]
 * @property {number} [srtt_s2c_p99_us]
 * @property {number} [handshake_p50_us]
 * @property {number} [handshake_p99_us]
 * @property {number} [rwnd_limited_share_c2s]
 * @property {number} [rwnd_limited_share_s2c]
 * @property {number} [sndbuf_limited_share_c2s]
 * @property {number} [sndbuf_limited_share_s2c]
 * @property {number} [server_turn_share]
 * @property {number} [client_turn_share]
 *
 * @typedef {Object} Sign
 * @property {string} sign
 * @property {number} severity
 * @property {string} side
 * @property {number} count
 * @property {number} of
 * @property {number} share
 * @property {string} text
 *
 * @typedef {Object} Edge
 * @property {string} id
 * @property {string} net
 * @property {string} client_service
 * @property {string} client_zone
 * @property {string} server_service
 * @property {string} server_zone
 * @property {string} protocol
 * @property {number} port
 * @property {string} observed_by
 * @property {string[]} flags
 * @property {{client: string[], server: string[]}} rungs
 * @property {string} [via]
 * @property {number} first
 * @property {number} last
 * @property {Sign[]} [signs]
 * @property {Derived} derived
 *
 * @typedef {Record<string, number>} View one observer's sums; a column that is 0 is left out
 *
 * @typedef {Object} Histogram
 * @property {number} count
 * @property {number} p50_us
 * @property {number} p90_us
 * @property {number} p99_us
 * @property {number[]} buckets
 *
 * @typedef {Object} Pair
 * @property {string} client
 * @property {string} server
 * @property {string} [client_hostname]
 * @property {string} [server_hostname]
 * @property {boolean} other
 * @property {string} observed_by
 * @property {Derived} derived
 *
 * @typedef {Object} EdgeAnswer
 * @property {number} from
 * @property {number} to
 * @property {string[]} tiers
 * @property {Edge} edge
 * @property {Record<string, View>} views
 * @property {Record<string, Histogram>} histograms
 * @property {number[]} bucket_floors_us
 * @property {Pair[]} pairs
 * @property {number} pairs_matched
 *
 * @typedef {{at: number, seconds: number, derived: Derived} & Record<string, any>} Point
 * @typedef {Object} SeriesAnswer
 * @property {number} from
 * @property {number} to
 * @property {string[]} tiers
 * @property {number} step
 * @property {Point[]} points
 *
 * @typedef {Object} Sums
 * @property {number} edges
 * @property {Derived} [derived]
 *
 * @typedef {Object} Service
 * @property {string} service
 * @property {number} bytes
 * @property {Sums} as_client
 * @property {Sums} as_server
 * @property {{bytes: number, as_client: Sums, as_server: Sums} | null} [previous]
 *
 * @typedef {Object} Listener
 * @property {string} host
 * @property {string} [hostname]
 * @property {number} netns
 * @property {string} address
 * @property {number} port
 * @property {string} protocol
 * @property {boolean} alive
 * @property {number} since
 * @property {number} last
 * @property {number} drops
 * @property {number} queue
 * @property {number} queue_max
 * @property {string} service
 * @property {string} process
 * @property {string} unit
 * @property {string} container
 * @property {string} pod
 * @property {string} owner_quality
 *
 * @typedef {Object} Host
 * @property {string} net
 * @property {string} id
 * @property {string} hostname
 * @property {string} kernel
 * @property {string} mode
 * @property {string} version
 * @property {string} agent
 * @property {number} interval_s
 * @property {number} last_seen
 * @property {number} age_s
 * @property {boolean} reporting
 * @property {{address: string, prefix: number, host_only: boolean, netns: number}[]} addresses
 * @property {Record<string, number>} [cost]
 * @property {{rows_in: number, rows_out: number, lost: Record<string, number>}} [loss]
 * @property {Listener[]} listeners
 *
 * @typedef {Object} ServiceAnswer
 * @property {string} service
 * @property {number} from
 * @property {number} to
 * @property {string[]} tiers
 * @property {Sums} as_client
 * @property {Sums} as_server
 * @property {Edge[]} callers
 * @property {Edge[]} callees
 * @property {Listener[]} listeners
 * @property {{address: string, hostname: string, host: string, scope: string}[]} hosts
 *
 * @typedef {Object} Hop
 * @property {string} hop
 * @property {string} unit
 * @property {number} in
 * @property {number} out
 * @property {Record<string, number>} lost
 * @property {Record<string, string>} [lost_text]
 * @property {{clue: string, datagrams: number, text: string, next: string}[]} [clues]
 * @property {number} lost_total
 * @property {number} missing
 * @property {boolean} adds_up
 * @property {number} instances
 * @property {string} [note]
 * @property {string} [likely]
 * @property {string} [next]
 * @property {{interval: number, missing: number}[]} intervals
 *
 * @typedef {Object} Health
 * @property {"ok"|"loss"|"broken"|"no_data"} status
 * @property {string} sentence
 * @property {number} now
 * @property {number} from
 * @property {number} to
 * @property {number} interval_s
 * @property {number} newest
 * @property {number | null} newest_age_s
 * @property {number} settled_to
 * @property {boolean} adds_up
 * @property {string | null} first_bad
 * @property {string | null} [first_loss]
 * @property {{known: number, reporting: number, silent: string[], by_mode: Record<string, number>}} agents
 * @property {{rows: number, both: number, both_share?: number}} edges
 * @property {{retries: number, poison: number, duplicates: number, error: string}} writer
 * @property {Hop[]} chain
 */

export {};
