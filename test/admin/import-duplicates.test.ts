import { expect, test } from 'vitest';
import { importing, refusalsIn } from '../support/importing.ts';
import { ada, asService, bob } from '../support/people.ts';
import { start, wires } from '../support/start.ts';

const guids = {
  'version 0': '7b2c7e1e-5a0e-0d0b-9c61-1a1b1c1d1e1f',
  'version 13': '7b2c7e1e-5a0e-dd0b-9c61-1a1b1c1d1e1e',
  "Microsoft's variant": '7B2C7E1E-5A0E-4D0B-CC61-1A1B1C1D1E1D',
  'variant 0': '7b2c7e1e-5a0e-4d0b-0c61-1a1b1c1d1e1c',
};

test('a second user with the same address or id is refused, in the same file and in another', async () => {
  const service = await start();
  const [id, another] = [guids['version 0'], guids['version 13']];
  const first = [
    { id, email: ada.email, name: 'Ada' },
    { email: 'Bob@example.org' },
    ...Array.from({ length: 600 }, (_, n) => ({ email: `user-${n}@example.org` })),
  ];
  const wrong: [reason: string, line: object][] = [
    ['email: an earlier line has it', { email: 'ADA@example.org', name: 'Another Ada' }],
    ['email: an earlier line has it', { id: another, email: ada.email }],
    ['email: an earlier line has it', { email: 'Bob@example.org', name: 'the same address, another person' }],
    ['id: an earlier line has it', { id: id.toUpperCase(), email: 'grace@example.org' }],
  ];
  const once = importing(service, [...first, ...wrong.map(([, line]) => line), ...first]);
  expect(await once.again()).toMatchObject({
    code: 1,
    stdout: '1208 lines: 602 users created, 602 already existed, 4 refused\n',
  });
  expect(refusalsIn(once.report)).toEqual(wrong.map(([reason], index) => ({ line: 603 + index, reason })));
  const other: [reason: string, line: object][] = [
    ['email: a user has it in another spelling', { email: 'ADA@example.org' }],
    ['email: a user has it in another spelling', { id, email: 'Ada@example.org' }],
    ['email: a user with another id has it', { id: another, email: 'Bob@example.org' }],
    ['id: a user with another address has it', { id: id.toUpperCase(), email: 'grace@example.org' }],
  ];
  for (const [reason, line] of other) {
    const { again, report } = importing(service, [line]);
    expect(await again()).toMatchObject({
      code: 1,
      stdout: '1 line: 0 users created, 0 already existed, 1 refused\n',
    });
    expect(refusalsIn(report)).toEqual([{ line: 1, reason }]);
  }
  const { again } = importing(service, [{ email: ada.email }, { email: 'Bob@example.org' }]);
  expect(await again()).toMatchObject({ code: 0, stdout: '2 lines: 0 users created, 2 already existed, 0 refused\n' });
  const names = await service.database.query(`select name from users where email_key = $1`, [ada.email]);
  expect(names).toEqual([{ name: 'Ada' }]);
});

test('the id of a deleted user is refused', async () => {
  const service = await start();
  const line = { id: guids['version 0'], email: ada.email };
  const { again, report } = importing(service, [line]);
  expect((await again()).code).toBe(0);
  await service.clients('grpc').admin.deleteUser({ userId: line.id }, asService);
  expect((await again()).code).toBe(1);
  expect(refusalsIn(report)).toEqual([{ line: 1, reason: 'id: a deleted user or a guest has it' }]);
});

test('of two users with one address, imported by two processes at once, one is created and one is refused', async () => {
  const service = await start();
  const lines = Array.from({ length: 400 }, (_, n) => ({ email: `user-${n}@example.org` }));
  const others = lines.map(({ email }) => ({ email: email.toUpperCase() })).reverse();
  const ended = await Promise.all([lines, others].map((each) => importing(service, each).again()));
  const counts = ended.map(({ stdout }) => stdout.match(/\d+/g)!.map(Number));
  expect(counts.map(([, created, existing, refused]) => [created! + refused!, existing])).toEqual([
    [400, 0],
    [400, 0],
  ]);
  expect(counts[0]![1]! + counts[1]![1]!, 'created').toBe(400);
});

test.each(wires)('over %s a user whose id is a GUID of any version signs in and is found by it', async (wire) => {
  const service = await start();
  const { admin, sessions } = service.clients(wire);
  const lines = Object.values(guids).map((id, n) => ({
    id,
    email: `user-${n}@example.org`,
    password_hash: '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW',
  }));
  const nil = { id: '00000000-0000-0000-0000-000000000000', email: bob.email };
  const { again, report } = importing(service, [...lines, nil, { id: '7b2c7e1e', email: bob.email }]);
  expect((await again()).stdout).toBe('6 lines: 4 users created, 0 already existed, 2 refused\n');
  expect(refusalsIn(report)).toEqual([
    { line: 5, reason: 'id: the nil UUID' },
    { line: 6, reason: 'id: Invalid GUID' },
  ]);
  for (const { id, email } of lines) {
    const { user, tokens } = await service.signIn({ email, password: 'U*U' });
    expect(user.id).toBe(id.toLowerCase());
    const { accessToken: token } = await sessions.refresh({ refreshToken: tokens.refreshToken }).then((r) => r.tokens!);
    expect(await sessions.introspect({ token }, asService)).toMatchObject({ userId: user.id, active: true });
    expect((await admin.getUser({ userId: id }, asService)).user!.email).toBe(email);
  }
});
