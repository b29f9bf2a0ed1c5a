const STAMP = String.raw`\d{4}/\d\d/\d\d \d\d:\d\d:\d\d`;
const OPERATION = '(http:pread|rpc:stat|rpc:pread|download|filewrite|fileread)';
const FIELDS = String.raw`\[pathname=(/[^\]]*)\]\[offset=(\d+)\]\[size=(-?\d+)\]\[latency=(\d+)\]`;

/** A line of the audit log. Groups: operation, pathname, offset, size, latency. */
export const AUDIT_LINE = new RegExp(
  String.raw`^${STAMP}\|AUDIT\|th=[0-9A-F]{16}\|${OPERATION}${FIELDS}$`,
);
