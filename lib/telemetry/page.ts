import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Answer } from './health.ts';

/** Scripts of both pages, in the order of their imports. */
const COMMON = ['format.js', 'elements.js', 'poll.js', 'history-scale.js', 'history-chart.js'];

/** What a page is made of; the files are in page/. */
interface PageFiles {
  title: string;
  html: string;
  styles: readonly string[];
  scripts: readonly string[];
}

const NODE_PAGE: PageFiles = {
  title: 'Shoal',
  html: 'page.html',
  styles: ['page.css'],
  scripts: [...COMMON, 'panels.js', 'tree-layout.js', 'tree-picture.js', 'live.js'],
};

const SWARM_PAGE: PageFiles = {
  title: 'Shoal: the swarm',
  html: 'swarm.html',
  styles: ['page.css', 'swarm.css'],
  scripts: [
    ...COMMON,
    'frames.js',
    'swarm-words.js',
    'swarm-tiles.js',
    'swarm-table.js',
    'swarm-images.js',
    'swarm-tree.js',
    'swarm-live.js',
  ],
};

function part(name: string): string {
  return readFileSync(new URL(`page/${name}`, import.meta.url), 'utf8');
}

/** The modules as one script in its own scope, without imports and exports. */
function joinScripts(names: readonly string[]): string {
  const bodies = names.map((name) =>
    part(name)
      .replace(/^import [^;]*;\n/gm, '')
      .replace(/^export /gm, ''),
  );
  return `"use strict";{\n${bodies.join('\n')}}\n`;
}

function source(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

/** What a page puts into shell.html: each part follows a comment with its name. */
function partsOf(html: string): Record<string, string> {
  const whole = html.replace(/ *<!-- ([\w-]+\.html) -->\n/g, (_, name: string) => part(name));
  const [, ...parts] = whole.split(/^<!-- (\w+) -->\n/m);
  return Object.fromEntries(
    parts.flatMap((name, at) => (at % 2 === 0 ? [[name, parts[at + 1]!.trimEnd()]] : [])),
  );
}

/** One file with inline style and script, which its policy allows by hash. */
function build({ title, html, styles, scripts }: PageFiles): Answer {
  const style = styles.map(part).join('\n');
  const script = joinScripts(scripts);
  const parts: Record<string, string> = { title, style, script, ...partsOf(part(html)) };
  const body = part('shell.html').replace(/\{\{(\w+)\}\}/g, (_, name: string) => parts[name]!);
  const policy = [
    `default-src 'none'`,
    `style-src ${source(style)}`,
    `script-src ${source(script)}`,
    `connect-src 'self'`,
    `img-src data:`,
    `base-uri 'none'`,
    `form-action 'none'`,
    `frame-ancestors 'none'`,
  ];
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-cache',
    'content-security-policy': policy.join('; '),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  };
  return { status: 200, headers, body };
}

const built = new Map<PageFiles, Answer>();

/** Built at the first request. */
function page(files: PageFiles): Answer {
  let answer = built.get(files);
  if (answer === undefined) built.set(files, (answer = build(files)));
  return answer;
}

/** The page of one node, GET /. */
export function nodePage(): Answer {
  return page(NODE_PAGE);
}

/** The page of the swarm, GET /swarm. */
export function swarmPage(): Answer {
  return page(SWARM_PAGE);
}
