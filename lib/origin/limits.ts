/** Bounds of lib/origin: each is named, has its unit last, and gives the reason for its value. */

/** An error answer of the origin is kept up to this length, to be passed on. */
export const ORIGIN_ERROR_BODY_BYTES_MAX = 64 * 1024;

/** Of an upstream's own words in an error message. */
export const REFUSAL_CHARS_MAX = 200;

/**
 * Connections to one origin host and thread: enough to fill a fast line with 2 MiB requests, few
 * for a registry.
 */
export const ORIGIN_CONNECTIONS_MAX = 32;

/**
 * An origin must send at least this much in every window of ORIGIN_SILENCE_MS, or it only pretends
 * to send.
 */
export const ORIGIN_WINDOW_BYTES_MIN = 4_096;

/** A redirect target is used without asking the registry for this long; signatures live minutes. */
export const ORIGIN_REDIRECT_TTL_MS = 60_000;

/**
 * A redirect target is kept this long for when the registry no longer takes the credential: signed
 * URLs of the large registries live for up to an hour.
 */
export const ORIGIN_REDIRECT_KEPT_MS = 3_600_000;

/** Redirect targets remembered: blobs under way at once, with room. */
export const ORIGIN_REDIRECTS_REMEMBERED_MAX = 2_048;

/**
 * TLS sessions of origins kept for a quick handshake: registries and their object stores are a
 * handful; 2 KB each.
 */
export const ORIGIN_TLS_SESSIONS_MAX = 64;

/**
 * An idle connection to an origin is kept this long; servers commonly close theirs after 15 s or
 * more.
 */
export const ORIGIN_KEEP_ALIVE_MS = 10_000;

/**
 * A registry that said nothing is taken to say nothing for this long by reads of what cannot
 * change, longer than it is waited for (28 s by default), so that nobody waits while it
 * is asked beside them, this often.
 */
export const OUTAGE_MS = 30_000;
export const OUTAGE_ASK_MS = 1_000;

/**
 * An answer this recent needs no ping: 1 s, so that a registry which fails at one path costs it one
 * request a second and node.
 */
export const PING_FRESH_MS = 1_000;

/** Between the two pings of a gateway that answers with an error. */
export const PING_AGAIN_MS = 1_000;

/** A registry that has not answered `/v2/` by then is down; well above the slowest that are up. */
export const PING_TIMEOUT_MS = 5_000;

/** One DNS query; twice within ORIGIN_CONNECT_TIMEOUT_MS. */
export const DNS_TIMEOUT_MS = 2_000;
export const DNS_TRIES = 2;

/** How long the answer for IPv6 is waited for once that for IPv4 is there (RFC 8305: 50 ms). */
export const DNS_SECOND_FAMILY_MS = 50;

/** /etc/hosts and /etc/resolv.conf are read again after this time. */
export const DNS_FILES_FRESH_MS = 5_000;

/** Names asked of getaddrinfo at once and thread; each holds one of libuv's four threads. */
export const DNS_SYSTEM_LOOKUPS_MAX = 1;

/** Registries whose outages are remembered. */
export const OUTAGES_MAX = 1_024;

/**
 * From the request to the first body byte, over all redirects and repeats, as a multiple of
 * `ProxyConfig.firstByteTimeout`: with the default of 20 s a registry that is alive has 28 s, and
 * 2 s are left of ANSWER_DEADLINE_MS (30 s) to see that it is, and to answer.
 */
export const ORIGIN_ANSWER_DEADLINE_RATIO = 1.4;

/**
 * A head that has not come in time is waited for once more when this much of the deadline is left.
 */
export const ORIGIN_REPEAT_MS_MIN = 1_000;

/**
 * How long a registry that was silent has to show that it is alive before it is asked once more:
 * together with PING_TIMEOUT_MS it ends within ANSWER_DEADLINE_MS.
 */
export const ORIGIN_ALIVE_TIMEOUT_MS = 4_000;

/** From the origin's accept to its first header byte, unless the config says otherwise. */
export const ORIGIN_HEAD_TIMEOUT_MS = 20_000;

/** Between two body bytes of the origin. */
export const ORIGIN_SILENCE_MS = 10_000;

/** Manifests are at most 4 MiB by the distribution-spec; tag lists and referrers may be longer. */
export const RELAY_BODY_BYTES_MAX = 16 * 1024 * 1024;

/** Redirects followed for one origin request: as many as Go's clients follow. */
export const ORIGIN_REDIRECTS_MAX = 10;

/**
 * A paused stream that no read uses ends after this time: clients that read slowly come back within
 * it. Many servers close a stalled connection earlier (nginx after 60 s).
 */
export const STREAM_IDLE_MS = 120_000;

/**
 * Bytes of a stream that no read wants are skipped when a later read has waited this long: reads of
 * one client reach the stream within milliseconds of each other.
 */
export const STREAM_GAP_MS = 500;

/** The same for a stream held because a credential ends: what it skips may be lost. */
export const STREAM_HELD_GAP_MS = 3_000;

/** What a stream holds beside the pieces it delivers: a few pieces of undici (64 KiB each). */
export const STREAM_LEFTOVER_BYTES_MAX = 8 * 1024 * 1024;

/** Streams held open by one thread: layers downloading at once, with room. */
export const STREAMS_MAX = 64;

/**
 * A body without a length is collected up to this size when the object's size is unknown. Pulls
 * know sizes from their manifests; this bounds memory for clients that read blobs without one.
 */
export const UNSIZED_BODY_BYTES_MAX = 64 * 1024 * 1024;

/** Requests for one read whose origin answers with parts shorter than asked for. */
export const SHORT_PARTS_MAX = 256;

/**
 * An origin whose answers undici refuses is asked over node:http for this long, then tried again.
 */
export const LENIENT_MS = 600_000;
export const LENIENT_ORIGINS_MAX = 256;

/** How long hosts of a config that was replaced may still be asked: pulls under way need them. */
export const RETIRED_CONFIG_MS = 600_000;

/**
 * How long an upstream that has failed is left out before it is looked at again, where it has
 * mirrors. Not shorter than the default of `ProxyConfig.accessTtl`: a right that a mirror has
 * granted just when the upstream failed has ended by then.
 */
export const MIRROR_RETURN_MS = 60_000;

/** Repositories that this node is logged in for with credentials of its own. */
export const OWN_LOGINS_MAX = 1_024;

/** One question to a token server; it is a part of the first byte's time. */
export const TOKEN_TIMEOUT_MS = 5_000;

/** How long a login with credentials of this node that has failed is not tried again. */
export const LOGIN_FAILED_MS = 30_000;

/** How long a check waits for the answer to a HEAD before it asks by GET. */
export const HEAD_CHECK_MS = 3_000;

/** Bytes of an answer's head, for answers whose head is too large for undici. */
export const ORIGIN_HEAD_BYTES_MAX = 256 * 1024;
