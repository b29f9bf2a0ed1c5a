import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Answer } from './health.ts';

/** The page's scripts, in the order of their imports. */
const SCRIPTS = [
  'format.js',
  'elements.js',
  'history-scale.js',
  'history-chart.js',
  'panels.js',
  'tree-layout.js',
  'tree-picture.js',
  'live.js',
];

function part(name: string): string {
  return readFileSync(new URL(`page/${name}`, import.meta.url), 'utf8');
}

/** The modules as one script in its own scope, without imports and exports. */
function joinScripts(): string {
  const bodies = SCRIPTS.map((name) =>
    part(name)
      .replace(/^import [^;]*;\n/gm, '')
      .replace(/^export /gm, ''),
  );
  return `"use strict";{\n${bodies.join('\n')}}\n`;
}

function source(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

function build(): Answer {
  const style = part('page.css');
  const script = joinScripts();
  const body = part('page.html')
    .replace('/* STYLE */', () => style)
    .replace('/* SCRIPT */', () => script);
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

let page: Answer | undefined;

/**
 * The live page, GET /: one file with inline style and script, allowed by hash in its policy. Built
 * at the first request.
 */
export function pageAnswer(): Answer {
  page ??= build();
  return page;
}
