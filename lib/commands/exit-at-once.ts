/**
 * Ends the process now, with an exit code. `process.exit` would first take down the other threads,
 * and Node aborts (exit code 134, core dump) when one of them still has sockets of uWebSockets.js
 * open; so the process turns itself, by execve(2), into one that does nothing but exit.
 */
export function exitAtOnce(code: number): never {
  const { execve, execPath, env } = process;
  // Node warns that execve is experimental; these would be the last words.
  process.removeAllListeners('warning');
  execve?.(execPath, [execPath, '-e', `process.exit(${code})`], { ...env, NODE_OPTIONS: '' });
  process.exit(code);
}
