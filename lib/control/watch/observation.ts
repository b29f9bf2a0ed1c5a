import type { Clock } from '../../clock.ts';
import { ANY_REGISTRY } from '../../config/any-registry.ts';
import type { Config } from '../../config/schema.ts';
import { AuditFile } from '../../telemetry/audit-file.ts';
import { AuditProbe } from '../../telemetry/audit.ts';
import { AuditSink } from '../../telemetry/audit-sink.ts';
import { Meter } from '../../telemetry/counters.ts';
import { exporterRoutes, type ExporterDeps, type ExporterRoute } from '../../telemetry/exporter.ts';
import { LineOutput } from '../../telemetry/line-output.ts';
import type { LogFormat } from '../../telemetry/log-format.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { watchLoopDelay } from '../../telemetry/loop-delay.ts';
import { MeterBoard } from '../../telemetry/meter-board.ts';
import { Telemetry } from '../../telemetry/telemetry.ts';
import type { Tracer } from '../../telemetry/tracing.ts';
import { VERSION } from '../../version.ts';
import { Journal } from './journal.ts';

/** Log, metrics and records of a node, on its control thread. */
export interface Observation {
  log: ReturnType<typeof createLogger>;
  journal: Journal;
  meter: Meter;
  /** Shared with the other threads, for meters of their own. */
  meters: SharedArrayBuffer;
  telemetry: Telemetry;
  /** null: the audit log is off. */
  audit: AuditSink | null;
  /** Control's own end of the audit log; null when it is off. */
  probe: AuditProbe | null;
  pages(parts: Pick<ExporterDeps, 'inputs' | 'tree' | 'swarm'>): ExporterRoute;
  close(): Promise<void>;
}

/**
 * The log goes to stderr, because stdout carries the ready line and, if configured, the audit log.
 */
export function openObservation(parts: {
  config: Config;
  node: string;
  clock: Clock;
  tracer: Tracer | null;
  format: LogFormat;
}): Observation {
  const { config, node, clock, tracer, format } = parts;
  const { mode, logAudit, logAuditMode, logDir, logLevel } = config.DeployConfig;
  const board = new MeterBoard();
  const meter = new Meter(board.shared, 0, 'control');
  const stderr = new LineOutput(2);
  const telemetry = new Telemetry({ mode, node, version: VERSION }, board, clock);
  telemetry.start();
  const log = createLogger({
    level: logLevel,
    node,
    thread: 'control',
    write: (line) => void stderr.write(format(line)),
    onProblem: (code, message) => telemetry.errors.add(clock.wallMs(), code, message),
  });
  const stopLoopDelay = watchLoopDelay(meter, clock);
  const onState = (error: Error | null): void => {
    if (error === null) log.info('the audit log is written again');
    else
      log.warn(
        { err: error },
        'the audit log cannot be written; its lines are dropped and counted',
      );
  };
  const target =
    logAuditMode === 'file'
      ? () => new AuditFile({ directory: logDir, clock, onState })
      : () => new LineOutput(1);
  const audit = logAudit ? new AuditSink(meter, target()) : null;
  const probe =
    audit === null
      ? null
      : new AuditProbe({
          clock,
          meter,
          threadId: 0,
          post: (batch, lines) => audit.accept(batch, lines),
        });
  const journal = new Journal(log, clock, tracer);
  for (const { upstream } of config.ProxyConfig.registries)
    if (upstream !== ANY_REGISTRY) journal.pulls.registries.expect(new URL(upstream).host);
  return {
    log,
    journal,
    meter,
    meters: board.shared,
    telemetry,
    audit,
    probe,
    pages: (parts) =>
      exporterRoutes({ ...parts, telemetry, clock, pulls: () => journal.pulls.list() }),
    async close() {
      telemetry.stop();
      stopLoopDelay();
      journal.pulls.close();
      probe?.close();
      await audit?.close();
      await tracer?.close();
      await stderr.close();
    },
  };
}
