import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { runProgram } from '../../lib/commands/program.ts';
import type { StartNode } from '../../lib/node/running-node.ts';
import { ShoalError } from '../../lib/errors.ts';

/*
 * A process that speaks the command line and ready line of a node, without being one: its proxy
 * relays to the default upstream, its exporter tells what it relayed. FAKE_NODE asks for
 * misbehaviour.
 */
const behaviour = process.env['FAKE_NODE'] ?? '';

const startNode: StartNode = async (config) => {
  const { mode, node } = config.DeployConfig;
  if (behaviour === 'port-in-use')
    throw new ShoalError('PORT_IN_USE', `127.0.0.1:${config.P2PConfig.port} is in use`);
  if (behaviour === 'mute') await new Promise(() => setInterval(() => undefined, 1_000));
  const bytes = { origin: 0, peer: 0, cache: 0 };
  let downloads = 0;
  const upstream = config.ProxyConfig.registries[0]?.upstream ?? '';
  const proxy = createServer((request, response) => {
    void (async () => {
      const headers = {
        accept: request.headers.accept ?? '*/*',
        ...(request.headers.authorization && { authorization: request.headers.authorization }),
      };
      const answer = await fetch(new URL(request.url ?? '/', upstream), {
        method: request.method ?? 'GET',
        headers,
      });
      const body = Buffer.from(await answer.arrayBuffer());
      if (answer.ok && request.url?.includes('/blobs/')) {
        bytes.origin += body.length;
        downloads++;
        if (behaviour === 'corrupt' && body.length > 0) body[0]! ^= 1;
      }
      const { 'transfer-encoding': _, ...relayed } = Object.fromEntries(answer.headers);
      response.writeHead(answer.status, relayed).end(body);
    })().catch((error: Error) => {
      console.error(error.stack);
      response.destroy();
    });
  });
  const exporter = createServer((request, response) => {
    if (request.url === '/status') {
      const clientBytes = { arena: 0, runtime: 0, disk: 0, peer: 0, origin: bytes.origin };
      return void response.end(JSON.stringify({ bytes, clientBytes }));
    }
    response.end(
      'shoal_operation_duration_seconds_count{operation="relay",source="origin"} ' +
        '99\nshoal_operation_duration_seconds_count{operation="download",source="origin"} ' +
        `${downloads}\n`,
    );
  });
  const listening = await Promise.all(
    [proxy, exporter].map(
      (server) =>
        new Promise<number>((give) =>
          server.listen(0, '127.0.0.1', () => give((server.address() as AddressInfo).port)),
        ),
    ),
  );
  return {
    ready: {
      mode,
      proxy: `http://127.0.0.1:${listening[0]}`,
      p2p: `${node}:${config.P2PConfig.port}`,
      exporter: `http://127.0.0.1:${listening[1]}`,
      pid: process.pid,
    },
    reload: async (read) => read(),
    async drain() {
      if (behaviour === 'stuck') {
        console.log('draining');
        await new Promise(() => setInterval(() => undefined, 1_000));
      }
      proxy.closeAllConnections();
      exporter.closeAllConnections();
    },
  };
};

const output = {
  out: (text: string) => void process.stdout.write(text),
  err: (text: string) => void process.stderr.write(text),
};
process.exit(await runProgram(process.argv.slice(2), output, startNode));
