import { ConfigError, loadConfig } from '../config/load.ts';
import type { Config, NodeMode } from '../config/schema.ts';
import { failed, ok, type Finding } from './finding.ts';
import { checkDisk, checkPorts, checkSecret } from './machine.ts';
import { CHECK_TIMEOUT_MS } from './limits.ts';
import { checkPeers } from './peers.ts';
import type { NamedImage } from './ranges.ts';
import { checkRegistries } from './registries.ts';
import { checkRuntime } from './runtime.ts';

interface Patient {
  file?: string | undefined;
  sets?: readonly string[];
  mode?: NodeMode | undefined;
  /** Images whose registries' ranges are tried with them. */
  images?: readonly NamedImage[];
}

/** The next step after a complaint about the config. */
function stepFor(complaint: string): string {
  if (complaint.startsWith('P2PConfig.secretFile'))
    return 'make a secret with `shoal init`, and copy it to the same path on every node';
  if (complaint.startsWith('--config'))
    return 'correct the file; `shoal init` writes one to begin with';
  return 'correct the key; docs/CONFIG.md lists what is allowed';
}

/** Every precondition of a node, in the order in which a start would meet them. Changes nothing. */
export async function diagnose(
  patient: Patient,
  wallMs: () => number,
  timeoutMs = CHECK_TIMEOUT_MS,
): Promise<Finding[]> {
  let config: Config;
  try {
    config = loadConfig(patient);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.lines.map((line) => failed('config', line, stepFor(line)));
  }
  const parts = await Promise.all([
    checkSecret(config),
    checkDisk(config),
    checkPorts(config),
    checkPeers(config, wallMs, timeoutMs),
    checkRegistries(config, { images: patient.images ?? [], timeoutMs }),
    config.DeployConfig.mode === 'agent' ? checkRuntime(config) : [],
  ]);
  return [ok('config', patient.file ?? 'the defaults'), ...parts.flat()];
}
