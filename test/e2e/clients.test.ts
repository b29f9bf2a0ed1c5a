import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { needs } from '../programs.ts';
import { CLIENTS, RANGE_BYTES, RANGES_AT_ONCE, type Client } from './clients.ts';
import type { CountingProxy } from './counting-proxy.ts';
import { makeImage, makeIndex, type TestImage } from './image.ts';
import { CREDENTIALS, PublicAndLocked, SLACK_BYTES } from './public-and-locked.ts';
import { scratchFolder } from './scratch-folder.ts';

describe('e2e: every client gets through a node what it gets from the registry', () => {
  let dir: string;
  const servers = new PublicAndLocked();
  const { registries, registrySide, clientSide } = servers;
  const images: Record<
    string,
    {
      repository: string;
      tagDigest: string;
      image: TestImage;
      others: TestImage[];
      isPrivate: boolean;
    }
  > = {};

  before(async function () {
    needs(this, 'docker-registry', 'skopeo');
    dir = await scratchFolder();
    await servers.start(dir, 'team/private');
    const add = async (name: string, image: TestImage, isPrivate: boolean): Promise<void> => {
      images[name] = {
        repository: `team/${name}`,
        tagDigest: image.manifest.digest,
        image,
        others: [],
        isPrivate,
      };
      await registries[isPrivate ? 1 : 0]!.push(
        image,
        `team/${name}`,
        isPrivate ? CREDENTIALS : undefined,
      );
    };
    await add('one', await makeImage(join(dir, 'one'), [9_000_000], 1), false);
    await add(
      'forty',
      await makeImage(
        join(dir, 'forty'),
        Array.from({ length: 40 }, () => 20_000),
        2,
      ),
      false,
    );
    await add('private', await makeImage(join(dir, 'private'), [1_500_000, 3_000], 3), true);
    const {
      index,
      images: byArchitecture,
      ...layout
    } = await makeIndex(join(dir, 'several'), ['amd64', 'arm64'], [600_000, 2_000], 4);
    await registries[0]!.push(layout, 'team/several');
    images['several'] = {
      repository: 'team/several',
      tagDigest: index.digest,
      image: byArchitecture['amd64']!,
      others: [byArchitecture['arm64']!],
      isPrivate: false,
    };
  });

  after(async () => {
    await servers.stop();
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  for (const [clientName, start] of CLIENTS) {
    describe(clientName, () => {
      let client: Client;

      before(async function () {
        const home = join(dir, clientName.replaceAll(' ', '-'));
        await mkdir(home);
        client = await start(this, home);
      });

      after(() => client?.stop());

      for (const [what, name] of [
        ['one layer', 'one'],
        ['forty layers', 'forty'],
        ['several architectures', 'several'],
        ['private, behind a token server', 'private'],
      ] as const) {
        it(what, async () => {
          const { repository, tagDigest, image, others, isPrivate } = images[name]!;
          const [seen, origin] = [clientSide, registrySide].map(
            (sides) => sides[isPrivate ? 1 : 0]!,
          ) as [CountingProxy, CountingProxy];
          const reference = `${origin.host}/${repository}:test`;
          const pull = async (): Promise<string[]> => {
            const finished = await client.tryPull(reference, isPrivate ? CREDENTIALS : undefined);
            assert.equal(
              finished.code,
              0,
              `${finished.stderr}\n${servers.node.daemon.output.slice(-4_000)}`,
            );
            const digests = await client.pulled(reference);
            await client.forget(reference);
            return digests;
          };
          const direct = await pull();
          assert.ok(
            direct.includes(image.manifest.digest) || direct.includes(tagDigest),
            direct.join(),
          );

          await client.mirror(origin.host, `http://${seen.host}`);
          try {
            for (const side of [seen, origin]) side.reset();
            if (isPrivate) {
              assert.notEqual(
                (await client.tryPull(reference)).code,
                0,
                'nobody gets it without a password',
              );
              assert.equal(origin.blobBytes, 0);
            }
            assert.deepEqual(await pull(), direct);
          } finally {
            await client.mirror(origin.host, null);
          }
          for (const { digest, size } of [image.config, ...image.layers])
            assert.ok((seen.blobs.get(digest)?.bytes ?? 0) >= size, `${digest} came past the node`);
          for (const { layers } of others)
            for (const { digest } of layers)
              assert.equal(origin.blobs.get(digest), undefined, 'of another architecture');
          // Whichever client is first; for the others it is in the node.
          assert.ok(
            origin.blobBytes <=
              (clientName === CLIENTS[0]![0] ? image.blobBytes + SLACK_BYTES : SLACK_BYTES),
            `${origin.blobBytes} bytes of ${image.blobBytes} left the registry`,
          );
        });
      }
    });
  }

  it('containerd 2.4 reads a cold layer in ranges; the registry sends it once', async function () {
    const image = await makeImage(join(dir, 'ranges'), [12_000_000], 5);
    await registries[0]!.push(image, 'team/ranges');
    const home = join(dir, 'ranges-client');
    await mkdir(home);
    const client = await CLIENTS[1]![1](this, home);
    const [seen, origin] = [clientSide[0]!, registrySide[0]!];
    try {
      await client.mirror(origin.host, `http://${seen.host}`);
      for (const side of [seen, origin]) side.reset();
      const reference = `${origin.host}/team/ranges:test`;
      const finished = await client.tryPull(reference);
      assert.equal(
        finished.code,
        0,
        `${finished.stderr}\n${servers.node.daemon.output.slice(-4_000)}`,
      );
      assert.ok((await client.pulled(reference)).includes(image.layers[0]!.digest));
      const { ranges, openMax } = seen.blobs.get(image.layers[0]!.digest)!;
      const wanted = Array.from(
        { length: Math.ceil(image.layers[0]!.size / RANGE_BYTES) },
        (_, at) => `bytes=${at * RANGE_BYTES}-`,
      );
      assert.deepEqual(
        ranges.toSorted(),
        wanted.toSorted(),
        'each range open-ended, each asked for once',
      );
      assert.ok(openMax >= RANGES_AT_ONCE / 2, `${openMax} at once`);
      assert.ok(
        origin.blobBytes <= image.blobBytes + SLACK_BYTES,
        `${origin.blobBytes} bytes of ${image.blobBytes} left the registry, in ` +
          `${origin.blobs.get(image.layers[0]!.digest)!.ranges.join()}`,
      );
    } finally {
      await client.stop();
    }
  });
});
