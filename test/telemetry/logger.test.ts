import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ShoalError } from '../../lib/errors.ts';
import { ERROR_MESSAGE_CHARS_MAX } from '../../lib/telemetry/limits.ts';
import { createLogger } from '../../lib/telemetry/logger.ts';
import { logFormat } from '../../lib/telemetry/log-format.ts';
import { redactText, redactUrl, safeHeaders } from '../../lib/telemetry/redact.ts';
import { acceptRequestId, newRequestId } from '../../lib/telemetry/request-id.ts';

const SIGNED =
  'https://bucket.oss-cn-hangzhou.aliyuncs.com/docker/blobs/data?' +
  'Expires=1&OSSAccessKeyId=LTAIsecret1&Signature=s3cr3t%2Bsig';

function logged(log: (logger: ReturnType<typeof createLogger>) => void): string {
  let lines = '';
  log(
    createLogger({
      level: 'trace',
      node: '10.0.0.1:65002',
      thread: 'control',
      write: (line) => (lines += line),
    }),
  );
  return lines;
}

describe('telemetry/logger', () => {
  it('writes one JSON object a line, with level, time, node and thread', () => {
    const lines = logged((logger) =>
      logger.info({ requestId: 'a'.repeat(16), blob: 'sha256:dd' }, 'pull done'),
    );
    assert.equal(lines.trimEnd().split('\n').length, 1);
    const line = JSON.parse(lines) as Record<string, unknown>;
    assert.equal(line['level'], 'info');
    assert.equal(line['msg'], 'pull done');
    assert.equal(line['node'], '10.0.0.1:65002');
    assert.equal(line['thread'], 'control');
    assert.equal(line['requestId'], 'a'.repeat(16));
    assert.match(String(line['time']), /^\d{4}-\d\d-\d\dT/);
  });

  it('is pretty on a terminal, coloured unless NO_COLOR is set, and JSON elsewhere', async () => {
    const lines = logged((logger) => logger.info({ proxy: 65001 }, 'serving'));
    assert.equal((await logFormat(false, {}))(lines), lines);
    const plain = (await logFormat(true, { NO_COLOR: '1' }))(lines);
    assert.match(plain, /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: serving \{"proxy":65001\}\n$/);
    const coloured = (await logFormat(true, {}))(lines);
    assert.ok(coloured.includes('\u001b['), coloured);
  });

  it('shows control characters of logged values on a terminal', async () => {
    const evil = 'a\r\n[12:00:00.000] INFO: forged \u001b[2J\u009b31m\u007f\u202e\u2028';
    const show = await logFormat(true, { NO_COLOR: '1' });
    const error = new Error(evil);
    error.stack = `Error: ${evil}\n    at first (\u001b]0;title\u0007)\n    at second`;
    for (const line of [
      logged((logger) => logger.info({ image: evil, [evil]: [{ deep: evil }] }, evil)),
      logged((logger) => logger.warn({ err: error, blob: evil }, 'failed')),
      logged((logger) => logger.child({ requestId: evil }).error('failed: %s', evil)),
    ]) {
      const text = show(line);
      assert.doesNotMatch(
        text,
        // oxlint-disable-next-line no-control-regex
        /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202e]/,
        JSON.stringify(text),
      );
      assert.doesNotMatch(text, /^\[12:00:00/m, 'no line is forged');
      assert.match(text, /a\\x0d\\x0a\[12:00:00\.000\] INFO: forged \\x1b\[2J\\x9b31m/);
    }
    assert.match(show(logged((logger) => logger.warn({ err: error }))), /\n +at second/);
  });

  it('keeps to its level', () => {
    let lines = '';
    const logger = createLogger({
      level: 'warn',
      node: 'n',
      thread: 't',
      write: (line) => (lines += line),
    });
    logger.info('quiet');
    logger.warn('loud');
    assert.match(lines, /loud/);
    assert.doesNotMatch(lines, /quiet/);
  });

  it('lets no token, password or signature through, wherever it is put', () => {
    const lines = logged((logger) => {
      logger.info(
        {
          headers: {
            Authorization: 'Bearer eyJsecret1',
            Cookie: 'id=secret2',
            'X-New-Token': 'secret3',
            Range: 'bytes=0-1',
          },
        },
        'request',
      );
      logger.info(
        {
          req: { headers: { authorization: 'Basic secret4' } },
          password: 'secret5',
          a: { token: 'secret6' },
        },
        'nested',
      );
      logger.info({ url: SIGNED }, 'fetching %s', SIGNED);
      logger.info(`GET ${SIGNED} with Bearer eyJsecret7.abc`);
      logger.error({ err: new Error(`connect to ${SIGNED} failed, password=secret8`) }, 'failed');
      logger.error({
        err: new ShoalError('ORIGIN_REFUSED', 'no', {
          body: 'secret9',
          headers: { 'www-authenticate': 'x' },
          cause: new Error(`Authorization: Bearer secret10`),
        }),
      });
      logger.error(new Error(`bare ${SIGNED}`));
      logger
        .child({ url: SIGNED, secret: 'secret11' })
        .warn({ query: 'Signature=secret12' }, 'child');
      logger.info('user token=%s', 'secret14');
      logger.info(
        { deep: { list: [new Error(SIGNED), SIGNED], registryPassword: 'secret15' } },
        '%o',
        { token: 'secret16' },
      );
      logger.child({ request: { url: SIGNED, authorization: 'secret17' } }).info('child bindings');
      logger.error({ err: `Basic c2VjcmV0OTk=`, cause: new URL(SIGNED) });
      logger.warn('relative /accelerator/https://h/p?token=secret13 done');
    });
    assert.doesNotMatch(lines, /secret\d|s3cr3t|LTAI|eyJ|c2Vj/);
    assert.match(lines, /bytes=0-1/);
    assert.match(lines, /oss-cn-hangzhou\.aliyuncs\.com\/docker\/blobs\/data/);
    assert.match(lines, /ORIGIN_REFUSED/);
  });

  it('keeps what tells an error apart: type, code, cause', () => {
    const cause = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), {
      code: 'ECONNREFUSED',
    });
    const line = JSON.parse(
      logged((logger) =>
        logger.error({
          err: new ShoalError('ORIGIN_UNREACHABLE', 'no way to registry.example', { cause }),
        }),
      ),
    ) as {
      err: { type: string; code: string; message: string; cause: { code: string } };
    };
    assert.equal(line.err.type, 'ShoalError');
    assert.equal(line.err.code, 'ORIGIN_UNREACHABLE');
    assert.equal(line.err.message, 'no way to registry.example');
    assert.equal(line.err.cause.code, 'ECONNREFUSED');
  });

  it('reports problems that have a code, without secrets, from level warn up', () => {
    const problems: string[] = [];
    const logger = createLogger({
      level: 'info',
      node: 'n',
      thread: 't',
      write: () => {},
      onProblem: (code, message) => problems.push(`${code} ${message}`),
    });
    logger.info({ code: 'INTERNAL' }, 'not a problem');
    logger.warn('no code');
    logger.warn({ code: 'HOST_NOT_ALLOWED', url: SIGNED }, `refused ${SIGNED}`);
    logger.error({ err: new ShoalError('PEER_TIMEOUT', 'silent for 2 s') }, 'left a parent');
    logger.error(new ShoalError('DISK_FAILED', 'no space'));
    assert.deepEqual(problems, [
      'HOST_NOT_ALLOWED refused https://bucket.oss-cn-hangzhou.aliyuncs.com/docker/blobs/data',
      'PEER_TIMEOUT left a parent: silent for 2 s',
      'DISK_FAILED no space',
    ]);
  });
});

describe('telemetry/redact', () => {
  it('drops query, fragment and user from a URL and nothing else', () => {
    assert.equal(
      redactUrl(SIGNED),
      'https://bucket.oss-cn-hangzhou.aliyuncs.com/docker/blobs/data',
    );
    assert.equal(redactUrl('http://user:pw@host:5000/v2/a//b#x'), 'http://host:5000/v2/a//b');
    assert.equal(
      redactUrl('/v2/library/nginx/manifests/latest'),
      '/v2/library/nginx/manifests/latest',
    );
    assert.equal(redactUrl('http://h/@scope/p'), 'http://h/@scope/p');
  });

  it('leaves plain text as it is', () => {
    for (const text of [
      'disk full: ENOSPC, write',
      'peer 10.0.0.2:65002 cooled down for 3 s',
      'what? no way',
      'sha256:ab (2 of 8 shards)',
    ]) {
      assert.equal(redactText(text), text);
    }
  });

  it('bounds what it returns, and the time it takes, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.string({
          maxLength: 5000,
          unit: fc.constantFrom(
            'a',
            '/',
            '?',
            ':',
            '=',
            '&',
            ' ',
            '"',
            '@',
            'token',
            'http://',
            'Bearer ',
          ),
        }),
        (text) => {
          assert.ok(redactText(text).length <= ERROR_MESSAGE_CHARS_MAX);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('never shows the query of a URL', () => {
    fc.assert(
      fc.property(
        fc.webUrl({ withQueryParameters: false }),
        fc.stringMatching(/^[A-Za-z0-9%+=&._-]{4,40}$/),
        (url, query) => {
          assert.ok(!redactText(`GET ${url}?SIG${query}GIS failed`).includes(`SIG${query}`));
        },
      ),
      { numRuns: 50 },
    );
  });

  it('lets listed headers through, whatever their case, and no others', () => {
    assert.deepEqual(
      safeHeaders({
        RANGE: 'bytes=0-',
        authorization: 'x',
        'x-amz-security-token': 'x',
        host: undefined,
      }),
      { range: 'bytes=0-' },
    );
  });
});

describe('telemetry/request-id', () => {
  it('makes 16 hex digits, and takes over only letters, digits and dashes', () => {
    assert.match(newRequestId(), /^[0-9a-f]{16}$/);
    assert.equal(
      newRequestId(() => 0),
      '0'.repeat(16),
    );
    assert.equal(acceptRequestId('0123456789abcdef'), '0123456789abcdef');
    assert.equal(acceptRequestId('pull-12345678'), 'pull-12345678');
    for (const bad of [
      undefined,
      '',
      'short',
      'x'.repeat(65),
      'a b c d e f g h',
      '12345678\n',
      '../../../../etc/',
    ])
      assert.notEqual(acceptRequestId(bad), bad);
  });
});
