import { trafficTypes, type TrafficType } from './metrics-list.ts';

/** The values of the DADIP2P_ families for one type of traffic. */
export interface DadiTraffic {
  bytesPerSecond: number;
  operationsPerSecond: number;
  latencyMaxUs: number;
  bytesTotal: number;
}

interface DadiReading {
  /** address:p2p port. */
  node: string;
  mode: 'agent' | 'root';
  alive: boolean;
  /** When this was read, milliseconds since the Unix epoch. */
  wallMs: number;
  traffic: Readonly<Record<TrafficType, DadiTraffic>>;
  cache: { allocatedBytes: number; usedBytes: number };
}

/** `%f` of C: six decimals. */
function float(value: number): string {
  return value.toFixed(6);
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/**
 * The seven DADIP2P_ families: names as spelled in the sample, HELP with no text where it has
 * none, label order, `%f` values, a millisecond timestamp (docs/SPEC.md 5,
 * test/golden/metrics.prom).
 */
export function renderDadiMetrics(reading: DadiReading): string {
  const node = escapeLabel(reading.node);
  const at = Math.floor(reading.wallMs);
  const head = (name: string, help: string): string =>
    `# HELP ${name}${help === '' ? '' : ` ${help}`}\n# TYPE ${name} gauge\n`;
  const line = (name: string, type: string, value: number): string =>
    `${name}{node="${node}",type="${type}",mode="${reading.mode}"} ${float(value)} ${at}\n`;
  const family = (name: string, help: string, pick: (traffic: DadiTraffic) => number): string =>
    head(name, help) +
    trafficTypes.map((type) => line(name, type, pick(reading.traffic[type]))).join('');
  return (
    head('DADIP2P_Alive', '') +
    `DADIP2P_Alive{node="${node}",mode="${reading.mode}"} ${float(reading.alive ? 1 : 0)} ${at}\n` +
    family('DADIP2P_Read_Throughtput', 'Bytes / sec', (traffic) => traffic.bytesPerSecond) +
    family('DADIP2P_QPS', '', (traffic) => traffic.operationsPerSecond) +
    family('DADIP2P_MaxLatency', 'us', (traffic) => traffic.latencyMaxUs) +
    family('DADIP2P_Count', 'Bytes', (traffic) => traffic.bytesTotal) +
    head('DADIP2P_Cache', '') +
    line('DADIP2P_Cache', 'allocated', reading.cache.allocatedBytes) +
    line('DADIP2P_Cache', 'used', reading.cache.usedBytes) +
    head('DADIP2P_Label', '')
  );
}
