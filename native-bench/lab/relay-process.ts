import { Relay, type RelayedBlob, type RelaySource } from './relay.ts';

// `relay-process.ts PORT SOURCE BLOBS` (JSON): serves until its standard input closes. Prints one
// line when it listens.
const [port = '0', source = '{}', blobs = '[]'] = process.argv.slice(2);
process.title = 'lab-relay';
const relay = await Relay.start(
  JSON.parse(blobs) as RelayedBlob[],
  JSON.parse(source) as RelaySource,
  Number(port),
);
console.log(JSON.stringify({ ready: true, port: relay.port }));
process.stdin.on('end', () => process.exit(0)).resume();
