import { createPrivateKey, sign } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { issueCertificate } from '../origin/certificate.ts';

const TOKEN_SECONDS = 300;

/** Name to password and the repositories the user may pull from and push to. */
type Users = Record<string, { password: string; repositories: string[] }>;

/**
 * Issues the Bearer tokens a docker-registry asks for (docker distribution's token authentication:
 * a JWT with x5c).
 */
export class TokenServer {
  readonly service = 'shoal-test-registry';
  readonly issuer = 'shoal-test-issuer';
  readonly certFile: string;
  readonly #users: ReadonlyMap<string, Users[string]>;
  readonly #server: Server;
  readonly #certificate: { certPem: string; keyPem: string };

  private constructor(
    server: Server,
    users: ReadonlyMap<string, Users[string]>,
    certificate: { certPem: string; keyPem: string },
    certFile: string,
  ) {
    this.#server = server;
    this.#users = users;
    this.#certificate = certificate;
    this.certFile = certFile;
    server.on('request', (request, response) => this.#answer(request, response));
  }

  static async start(dir: string, users: Users): Promise<TokenServer> {
    const certificate = await issueCertificate('shoal-test-issuer');
    const certFile = join(dir, 'issuer.pem');
    await writeFile(certFile, certificate.certPem);
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TokenServer(server, new Map(Object.entries(users)), certificate, certFile);
  }

  get realm(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/token`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    if (this.#server.listening) await once(this.#server, 'close');
  }

  /** A token as a runtime gets it: `Authorization: Bearer <this>`. */
  token(user: string, repository: string, actions = ['pull']): string {
    const allowed = this.#users.get(user)?.repositories.includes(repository) === true;
    return this.#issue(user, allowed ? [{ type: 'repository', name: repository, actions }] : []);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const [name = '', password] = Buffer.from(
      (request.headers.authorization ?? '').replace(/^Basic /, ''),
      'base64',
    )
      .toString()
      .split(':');
    const user = this.#users.get(name);
    if (user === undefined || user.password !== password) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="tokens"' }).end();
      return;
    }
    const scopes = new URL(request.url ?? '', this.realm).searchParams.getAll('scope');
    const access = scopes.flatMap((scope) => {
      const [, repository, actions] = /^repository:([^:]+):(.*)$/.exec(scope) ?? [];
      return repository !== undefined && user.repositories.includes(repository)
        ? [{ type: 'repository', name: repository, actions: (actions ?? '').split(',') }]
        : [];
    });
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ token: this.#issue(name, access), expires_in: TOKEN_SECONDS }));
  }

  #issue(subject: string, access: unknown[]): string {
    const nowSeconds = Math.floor(Date.now() / 1000);
    const chain = this.#certificate.certPem.replace(/-----[A-Z ]+-----|\s/g, '');
    const header = { typ: 'JWT', alg: 'ES256', x5c: [chain] };
    const claims = {
      iss: this.issuer,
      sub: subject,
      aud: this.service,
      exp: nowSeconds + TOKEN_SECONDS,
      nbf: nowSeconds - 10,
      iat: nowSeconds,
      jti: String(Math.random()),
      access,
    };
    const signed = [header, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const signature = sign('sha256', Buffer.from(signed), {
      key: createPrivateKey(this.#certificate.keyPem),
      dsaEncoding: 'ieee-p1363',
    });
    return `${signed}.${signature.toString('base64url')}`;
  }
}
