import pc from 'picocolors';
import type { NodeMode } from '../config/schema.ts';
import { diagnose } from '../doctor/doctor.ts';
import type { Finding } from '../doctor/finding.ts';
import { calledAs, withCalled } from './called-as.ts';
import { namedImage } from './preheat-image.ts';
import type { Output } from './process-output.ts';

export interface DoctorOptions {
  config?: string;
  set?: string[];
  mode?: NodeMode;
  /** Images to try the ranges of their registries with. */
  image?: string[];
  json?: boolean;
}

/** `shoal doctor` and `shoal agent --check`. Returns 1 when a check failed. */
export async function runDoctor(options: DoctorOptions, output: Output): Promise<number> {
  const { config, set = [], mode, image = [], json = false } = options;
  const images = image.map(namedImage);
  const findings = await diagnose({ file: config, sets: set, mode, images }, () => Date.now());
  const isWell = findings.every(({ outcome }) => outcome !== 'failed');
  output.out(
    json
      ? `${JSON.stringify({ ok: isWell, checks: findings })}\n`
      : renderFindings(findings, calledAs()),
  );
  return isWell ? 0 : 1;
}

const MARKS = {
  ok: () => pc.green('ok     '),
  warning: () => pc.yellow('warning'),
  failed: () => pc.red('failed '),
};

function renderFindings(findings: readonly Finding[], shoal: string): string {
  const lines = findings.flatMap(({ check, outcome, detail, fix }) => [
    `${MARKS[outcome]()}  ${pc.bold(check)}: ${detail}`,
    ...(fix === null ? [] : [`         -> ${withCalled(fix, shoal)}`]),
  ]);
  const count = (wanted: Finding['outcome']): number =>
    findings.filter(({ outcome }) => outcome === wanted).length;
  const sum = `${count('ok')} ok, ${count('warning')} warnings, ${count('failed')} failed`;
  return `${[...lines, sum].join('\n')}\n`;
}
