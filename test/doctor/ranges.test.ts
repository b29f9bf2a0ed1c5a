import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Finding } from '../../lib/doctor/finding.ts';
import { DoctorFixture } from './fixture.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const DIGEST = `sha256:${'a'.repeat(64)}`;
const BLOB_BYTES = 100;

/** How a registry answers, by the end of the path. */
type Answers = Record<string, (request: IncomingMessage, response: ServerResponse) => void>;

const json =
  (value: unknown, type = 'application/json') =>
  (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': type }).end(JSON.stringify(value));
  };
const part = ({ headers }: IncomingMessage, response: ServerResponse): void => {
  assert.equal(headers.range, 'bytes=0-0');
  response.writeHead(206, { 'content-range': `bytes 0-0/${BLOB_BYTES}` }).end('x');
};
const manifest = json(
  { mediaType: MANIFEST, config: { digest: DIGEST }, layers: [{ digest: DIGEST }] },
  MANIFEST,
);

describe('ranges of registries, as shoal doctor tries them', function () {
  this.timeout(30_000);
  const fixture = new DoctorFixture();
  beforeEach(() => fixture.open());
  afterEach(() => fixture.close());

  /** What the doctor says of the ranges of a registry that answers like this. */
  async function tried(answers: Answers, image?: string, entry = ''): Promise<Finding> {
    const port = await fixture.serve((request, response) => {
      const path = request.url!.split('?')[0]!;
      const found = Object.entries(answers).find(([end]) => path.endsWith(end));
      if (found !== undefined) found[1](request, response);
      else response.writeHead(path === '/v2/' ? 200 : 404).end();
    });
    const host = `127.0.0.1:${port}`;
    const findings = await fixture.examineWith(
      image === undefined ? [] : [{ registry: host, repository: image, reference: 'v1' }],
      `ProxyConfig.registries=[{upstream: "http://${host}"${entry}}]`,
    );
    return findings.find(({ check }) => check === `registry ${host}: ranges`)!;
  }

  const listed: Answers = {
    '/_catalog': json({ repositories: ['team/app'] }),
    '/team/app/tags/list': json({ tags: ['v1'] }),
    '/manifests/v1': manifest,
  };

  it('are tried with the first image that the registry lists', async () => {
    const found = await tried({ ...listed, [DIGEST]: part });
    assert.deepEqual([found.outcome, found.fix], ['ok', null]);
    assert.match(found.detail, /sends parts of blobs \(tried with team\/app\)/);
  });

  it('are missing where a whole blob is the answer', async () => {
    const found = await tried({
      ...listed,
      [DIGEST]: (_, response) => response.end('x'.repeat(BLOB_BYTES)),
    });
    assert.equal(found.outcome, 'warning');
    assert.match(found.detail, /a part of team\/app with the whole blob/);
    assert.match(found.fix!, /let Range pass in proxies before it/);
  });

  it('are tried with a named image, through an index, with a token for anybody', async () => {
    const asked: string[] = [];
    const withToken =
      (answer: Answers[string]): Answers[string] =>
      (request, response) => {
        if (request.headers.authorization === 'Bearer t') return answer(request, response);
        const realm = `http://${request.headers.host}/token`;
        response
          .writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="s"` })
          .end();
      };
    const found = await tried(
      {
        '/token': (request, response) => {
          asked.push(request.url!);
          json({ token: 't' })(request, response);
        },
        '/v2/': withToken(json({})),
        '/manifests/v1': withToken(
          json({ mediaType: INDEX, manifests: [{ digest: DIGEST, mediaType: MANIFEST }] }, INDEX),
        ),
        [`/manifests/${DIGEST}`]: withToken(manifest),
        [`/blobs/${DIGEST}`]: withToken(part),
      },
      'library/app',
    );
    assert.match(found.detail, /tried with library\/app/);
    assert.equal(found.outcome, 'ok');
    assert.match(asked.join(), /scope=repository%3Alibrary%2Fapp%3Apull/);
  });

  it('are not tried where no image is known, and the step names one', async () => {
    const found = await tried({});
    assert.equal(found.outcome, 'warning');
    assert.match(found.detail, /not tried: it lists no images/);
    assert.match(found.fix!, /shoal doctor --image 127\.0\.0\.1:\d+\/REPOSITORY:TAG/);
  });

  it('are not tried with an image that this node may not read', async () => {
    const found = await tried({}, 'team/private');
    assert.equal(found.outcome, 'warning');
    assert.match(found.detail, /not tried: .*\/v2\/team\/private\/manifests\/v1 answers 404/);
    assert.match(found.fix!, /credentialsFile/);
  });

  it('fail where blobs are kept at a host that is not on the list', async () => {
    const found = await tried({
      ...listed,
      [DIGEST]: (_, response) =>
        response.writeHead(307, { location: 'https://storage.example/blob?sig=s3cret' }).end(),
    });
    assert.equal(found.outcome, 'failed');
    assert.match(found.detail, /storage\.example/);
    assert.match(found.fix!, /`storage` of the registry/);
    assert.doesNotMatch(JSON.stringify(found), /s3cret/);
  });
});
