import { hostname } from 'node:os';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { systemClock } from '../clock.ts';
import { HttpKubeClient } from '../cluster/kubernetes/http.ts';
import { podNamespace } from '../cluster/kubernetes/in-cluster.ts';
import { ShoalError } from '../errors.ts';
import { WEBHOOK_DRAIN_MS } from './limits.ts';
import { createLogger } from '../telemetry/logger.ts';
import { readWebhookConfig } from './config.ts';
import { defaultConnection } from './kube-config.ts';
import { WebhookService } from './service.ts';

/**
 * Runs the admission webhook and the pull-secret controller until SIGTERM or SIGINT. Resolves with
 * the exit code: 0 stopped in order, 1 failed, 2 invalid config (one line per problem on stderr).
 * Logs JSON lines on stdout.
 */
export async function runWebhook(configPath: string): Promise<number> {
  try {
    const config = await readWebhookConfig(configPath);
    const namespace = config.namespace === '' ? await podNamespace(process.env) : config.namespace;
    const identity = `${hostname()}-${randomBytes(4).toString('hex')}`;
    const log = createLogger({
      level: config.logLevel,
      node: identity,
      thread: 'webhook',
      write: (line) => void process.stdout.write(line),
    });
    const client = new HttpKubeClient(defaultConnection(systemClock));
    const service = new WebhookService(config, {
      client,
      clock: systemClock,
      random: Math.random,
      log,
      namespace,
      identity,
    });
    service.start();
    log.info({ namespace, registries: config.registries.length }, 'webhook started');
    const signals = ['SIGTERM', 'SIGINT'].map((signal) => once(process, signal));
    await Promise.race([...signals, service.failed]);
    service.drain();
    log.info('draining');
    await new Promise<void>((resolve) => systemClock.after(WEBHOOK_DRAIN_MS, resolve));
    await service.stop();
    return 0;
  } catch (thrown) {
    const error = ShoalError.from(thrown);
    process.stderr.write(`${error.message}\n`);
    return error.code === 'CONFIG_INVALID' ? 2 : 1;
  }
}
