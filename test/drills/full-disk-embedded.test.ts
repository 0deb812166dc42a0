import path from 'node:path';
import { expect, test } from 'vitest';
import { asService } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { reasonOf } from '../support/refusal.ts';
import type { Clients } from '../support/start.ts';
import { fillerOn, mountVolume } from '../support/volume.ts';

const size = 192 * 1024 * 1024;

const register = async ({ auth }: Clients, n: number) => {
  const person = { email: `person-${n}@example.org`, password: 'a difference engine' };
  await auth.register({ ...person, name: 'x'.repeat(60) });
  return person.email;
};

/* docs/operations.md, "Disk full". */
test('the embedded database on a full disk refuses writes, and after a restart with room it has every acknowledged one', {
  timeout: 60_000,
}, async () => {
  const disk = mountVolume(`size=${size},mode=1777`, 'the embedded database on a full disk');
  if (!disk) return;
  const { fill, empty } = fillerOn(disk);
  const env = { DATABASE_URL: '', DATA_DIR: path.join(disk, 'data'), AUTO_CONFIRM_EMAIL: 'on', LIMITS: '*=off' };
  const first = await serve(env);
  const { json } = first.clients;
  const acknowledged: string[] = [];
  for (let n = 0; n < 20; n++) acknowledged.push(await register(json, n));
  const { tokens } = await json.auth.signIn({ email: acknowledged[0]!, password: 'a difference engine' });

  fill(size);
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
