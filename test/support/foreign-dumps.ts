import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { testEnv } from './people.ts';
import { run } from './process.ts';
import { attestationOf, type SoftwareAuthenticator } from './software-authenticator.ts';
import type { TestService } from './start.ts';

/** The hash of every imported user with a password, and the password. */
export const importedPassword = 'U*U';

/** A credential that an authenticator has created for another system with the same domain. */
export interface Registered {
  readonly id: Buffer;
  readonly public_key: Buffer;
}

/** Registers a credential with a handle of the other system. */
export function registerElsewhere(device: SoftwareAuthenticator, handle: Buffer): Registered {
  let key: Buffer = Buffer.alloc(0);
  const user = { id: handle.toString('base64url') };
  device.create(
    { rp: { id: 'gatehouse.test' }, user, challenge: 'AAAA' },
    {
      attestationObject: (authData) => {
        key = authData.subarray(55 + authData.readUInt16BE(53));
        return attestationOf(authData);
      },
    },
  );
  return { id: Buffer.from(device.ids.at(-1)!, 'base64url'), public_key: key };
}

/** A dump of test/import/dumps with credentials in place of {{name:id:hex}} and {{name:public_key:base64}}. */
export function dumpOf(file: string, credentials: Readonly<Record<string, Registered>> = {}): string {
  const text = readFileSync(path.join(import.meta.dirname, '../import/dumps', file), 'utf8');
  return text.replace(/\{\{(\w+):(id|public_key):(\w+)\}\}/g, (_, name: string, part: keyof Registered, encoding) =>
    credentials[name]![part].toString(encoding as BufferEncoding),
  );
}

/** Writes the texts or bytes to files of a new folder. Returns their paths. */
export function written(files: Readonly<Record<string, string | Buffer>>): Record<string, string> {
  const folder = mkdtempSync(path.join(tmpdir(), 'gatehouse-import-'));
  const paths = Object.keys(files).map((name) => [name, path.join(folder, name)] as const);
  for (const [name, file] of paths) writeFileSync(file, files[name]!);
  return Object.fromEntries(paths);
}

/** Runs `import` with these arguments on the database of the service. */
export function runImport(service: TestService, args: readonly string[], env: Record<string, string> = {}) {
  return run(['import', ...args], { DATABASE_URL: service.database.url, MASTER_KEYS: testEnv.MASTER_KEYS, ...env });
}

/** The number of verified factors that each user has, and the one in the user's row, where they differ. */
export const wrongFactorCounts = (service: TestService) =>
  service.database.query(
    `select u.id, u.factor_count, count(f.id) from users u
     left join factors f on f.user_id = u.id and f.verified_at is not null and f.type in ('totp', 'webauthn')
     group by u.id having u.factor_count <> count(f.id)`,
  );
