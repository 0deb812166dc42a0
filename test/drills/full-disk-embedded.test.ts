import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { asService } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { reasonOf } from '../support/refusal.ts';
import type { Clients } from '../support/start.ts';

/** A small disk, and what fills it. Undefined where this user may mount none. */
function mountDisk() {
  const disk = mkdtempSync(path.join(tmpdir(), 'gatehouse-disk-'));
  onTestFinished(() => rmSync(disk, { recursive: true, force: true }));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=192m,mode=1777', 'tmpfs', disk], { stdio: 'ignore' });
  } catch {
    console.error('NOT TRIED: the embedded database on a full disk, because this user may not mount one');
    return undefined;
  }
  onTestFinished(() => void execFileSync('umount', ['-l', disk]));
  const filler = path.join(disk, 'filler');
  const fill = () => {
    try {
      writeFileSync(filler, Buffer.alloc(192 * 1024 * 1024));
    } catch {
      // The file now takes up what was left.
    }
  };
  return { disk, fill, empty: () => rmSync(filler, { force: true }) };
}

const register = async ({ auth }: Clients, n: number) => {
  const person = { email: `person-${n}@example.org`, password: 'a difference engine' };
  await auth.register({ ...person, name: 'x'.repeat(60) });
  return person.email;
};

/* docs/operations.md, "Disk full". */
test('the embedded database on a full disk refuses writes, and after a restart with room it has every acknowledged one', {
  timeout: 60_000,
}, async () => {
  const mounted = mountDisk();
  if (!mounted) return;
  const { disk, fill, empty } = mounted;
  const env = { DATABASE_URL: '', DATA_DIR: path.join(disk, 'data'), AUTO_CONFIRM_EMAIL: 'on', LIMITS: '*=off' };
  const first = await serve(env);
  const { json } = first.clients;
  const acknowledged: string[] = [];
  for (let n = 0; n < 20; n++) acknowledged.push(await register(json, n));
  const { tokens } = await json.auth.signIn({ email: acknowledged[0]!, password: 'a difference engine' });

  fill();
  let refused: string | undefined;
  for (let n = 20; refused === undefined && n < 5000; n++)
    await register(json, n).then(
      (email) => acknowledged.push(email),
      (error) => (refused = reasonOf(error) ?? 'no reason'),
    );
  expect(refused).toBe('DATABASE_UNAVAILABLE');
  for (const route of ['/livez', '/.well-known/jwks.json']) expect((await first.get(route)).status).toBe(200);
  expect((await first.end()).code).toBe(0);

  empty();
  const { grpc } = (await serve(env)).clients;
  for (const email of acknowledged)
    expect((await grpc.admin.listUsers({ email }, asService)).users, email).toHaveLength(1);
  expect((await grpc.sessions.introspect({ token: tokens!.accessToken }, asService)).active).toBe(true);
  await register(grpc, 9999);
});
