import { ShoalError } from '../errors.ts';
import { OverlaybdFile } from '../runtimes/overlaybd-file.ts';
import type { OverlaybdChange, OverlaybdStatus } from '../runtimes/overlaybd-file.ts';
import { parseP2pAddress, probe } from '../runtimes/node-address.ts';
import type { Answerer } from '../runtimes/node-address.ts';
import { Preview, type WriteOptions } from './preview.ts';
import type { Output } from './process-output.ts';

export interface OverlaybdOptions extends WriteOptions {
  file: string;
  address?: string;
  json?: boolean;
}

export type OverlaybdAction = 'enable' | 'disable' | 'status';

/**
 * `shoal overlaybd enable|disable|status`. Returns 0. Throws USAGE for an invalid address,
 * FILE_UNUSABLE naming the file when it is missing, damaged or not writable; it is then unchanged.
 */
export async function runOverlaybd(
  action: OverlaybdAction,
  options: OverlaybdOptions,
  output: Output,
  ask: (address: string) => Promise<Answerer> = probe,
): Promise<number> {
  const preview = new Preview(options);
  const file = new OverlaybdFile(options.file, preview.disk);
  if (action === 'status') {
    const status = file.status();
    const answers = status.address === null ? null : await ask(status.address);
    output.out(
      options.json === true ? line({ ...status, answers }) : renderStatus(status, answers),
    );
    return 0;
  }
  const change = action === 'enable' ? file.enable(addressOf(options.address)) : file.disable();
  if (preview.only && options.json !== true) preview.show(output);
  else output.out(options.json === true ? line(change) : renderChange(change));
  return 0;
}

function addressOf(text: string | undefined): string | null {
  if (text === undefined) return null;
  const address = parseP2pAddress(text);
  if (address === null)
    throw new ShoalError(
      'USAGE',
      '--address: allowed: http(s)://HOST[:PORT]/PREFIX, without credentials, query or fragment',
    );
  return address;
}

function renderChange({ file, enabled, address, changed, backup }: OverlaybdChange): string {
  const state = enabled ? `P2P is on, through ${address}` : 'P2P is off';
  const lines = [`${file}: ${state}${changed ? '' : ' (unchanged)'}`];
  if (enabled && backup !== null) lines.push(`backup: ${backup}`);
  if (enabled && address?.startsWith('https:') === true)
    lines.push('https: set ProxyConfig.tls on the node, and make this machine trust its CA');
  if (changed) lines.push('to apply it, run: systemctl restart overlaybd-tcmu');
  return `${lines.join('\n')}\n`;
}

const ANSWERS: Record<Answerer, string> = {
  shoal: 'a Shoal node answers',
  other: 'another server answers',
  nobody: 'no answer',
};

function renderStatus(
  { file, enabled, address, backup }: OverlaybdStatus,
  answers: Answerer | null,
): string {
  const lines = [
    `file     ${file}`,
    `P2P      ${enabled ? 'on' : 'off'}`,
    'address  ' +
      `${address === null ? 'none' : address}${answers === null ? '' : ` (${ANSWERS[answers]})`}`,
    `backup   ${backup ?? 'none'}`,
  ];
  return `${lines.join('\n')}\n`;
}

function line(value: object): string {
  return `${JSON.stringify(value)}\n`;
}
