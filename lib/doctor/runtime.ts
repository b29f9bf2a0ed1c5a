import { existsSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { splitHostPort } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { CertsDir } from '../runtimes/certs-dir.ts';
import { findConfigPath } from '../runtimes/containerd-config.ts';
import { CERTS_DIR, CONTAINERD_CONFIG } from '../runtimes/places.ts';
import { systemReason } from '../system-reason.ts';
import { addressesOf } from './ask.ts';
import { failed, ok, reasonOf, warning, type Finding } from './finding.ts';

interface RuntimePlaces {
  containerdConfig: string;
  certsDir: string;
}

const PLACES: RuntimePlaces = { containerdConfig: CONTAINERD_CONFIG, certsDir: CERTS_DIR };

/** Whether containerd reads its hosts.toml files, and images of each registry reach this node. */
export async function checkRuntime(
  config: Config,
  places: RuntimePlaces = PLACES,
): Promise<Finding[]> {
  const { certsDir } = places;
  const found = [checkConfigPath(places)];
  for (const { p2pHost, upstream } of config.ProxyConfig.registries) {
    const name = p2pHost === '*' ? new URL(upstream).host : p2pHost;
    const { hosts, file } = new CertsDir(certsDir).status(name);
    if (hosts.length > 0) found.push(ok(`runtime: ${name}`, `${file} names ${hosts[0]}`));
    else if (p2pHost !== '*') found.push(await checkName(p2pHost));
    else
      found.push(
        warning(
          `runtime: ${name}`,
          `${file} names no mirror: images of ${name} are pulled from the registry`,
          `shoal containerd configure --registry ${name}`,
        ),
      );
  }
  return found;
}

function checkConfigPath({ containerdConfig, certsDir }: RuntimePlaces): Finding {
  const name = 'containerd';
  let text: string | null = null;
  try {
    text = existsSync(containerdConfig) ? readFileSync(containerdConfig, 'utf8') : null;
    const { reads, lines, remarks } = findConfigPath(text, certsDir);
    if (reads === 'no' || remarks.length > 0)
      return failed(
        name,
        remarks[0] ?? `containerd does not read ${certsDir}`,
        `add to ${containerdConfig}: ${lines.join(' ')}, then restart containerd`,
      );
    return ok(
      name,
      reads === 'yes'
        ? `config_path names ${certsDir}`
        : `${certsDir} is read by default from containerd 2.2 on`,
    );
  } catch (error) {
    return failed(
      name,
      `cannot read ${containerdConfig}: ${systemReason(error)}`,
      'run as a user that may read it',
    );
  }
}

/** The name of a P2P host must lead the runtime to this node. */
async function checkName(p2pHost: string): Promise<Finding> {
  const name = `runtime: ${p2pHost}`;
  const { host } = splitHostPort(p2pHost)!;
  const own = new Set(
    Object.values(networkInterfaces()).flatMap((addresses) =>
      (addresses ?? []).map(({ address }) => address),
    ),
  );
  const fix = `shoal containerd configure --registry ${p2pHost}`;
  try {
    const addresses = await addressesOf(host);
    return addresses.every((address) => own.has(address))
      ? ok(name, `resolves to this machine (${addresses.join(', ')})`)
      : failed(name, `resolves to ${addresses.join(', ')}, not to this machine`, fix);
  } catch (error) {
    return failed(name, `does not resolve (${reasonOf(error)}) and has no hosts.toml`, fix);
  }
}
