// @serializable
import { Code } from '@connectrpc/connect';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { deriveWithArgon2, type HashCost, hashWith } from '../../src/user/password-hash.ts';
import { ada, asService, bob } from '../support/people.ts';
import { together } from '../support/race.ts';
import { send } from '../support/raw-http.ts';
import { reasonOf, refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

/** The cost of each hash that was computed. The implementations are the real ones. */
const hashed = vi.hoisted(() => {
  // The modules that the files before have loaded know the real hashers; those that come later must not know ours.
  vi.resetModules();
  return [] as unknown[];
});
afterAll(() => void vi.resetModules());

vi.mock('@node-rs/argon2', async (original) => {
  const real = await original<typeof import('@node-rs/argon2')>();
  return {
    ...real,
    hashRaw: (password: Buffer, options: object) => note(options, () => real.hashRaw(password, options)),
  };
});
vi.mock('argon2', async (original) => {
  const { default: real } = await original<{ default: typeof import('argon2') }>();
  const hash = (password: Buffer, options: HashCost & { raw: true }) =>
    note(options, () => real.hash(password, options));
  return { default: { ...real, hash } };
});

function note<T>(options: Partial<HashCost>, hash: () => T): T {
  const { memoryCost, timeCost, parallelism } = options;
  hashed.push({ memoryCost, timeCost, parallelism });
  return hash();
}

const cost = { memoryCost: 64, timeCost: 1, parallelism: 1 };
const oldCost = { memoryCost: 32, timeCost: 2, parallelism: 1 };

/** The costs of the hashes that a call needs. */
async function hashesOf(call: Promise<unknown>): Promise<unknown[]> {
  hashed.length = 0;
  await call.catch(() => {});
  return [...hashed];
}

async function storedHash({ database }: TestService): Promise<string> {
  const [row] = await database.query<{ password_hash: string }>(
    'select password_hash from users where email is not null',
  );
  return row!.password_hash;
}

describe.each(wires)('over %s', (wire) => {
  test('every sign-in computes one hash at the current cost, whether it is refused or succeeds', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    await service.welcome();
    await admin.createUser({ email: bob.email }, asService);
    const password = 'a wrong password';
    expect(await hashesOf(auth.signIn(ada))).toEqual([cost]);
    expect(await hashesOf(auth.signIn({ ...ada, password }))).toEqual([cost]);
    expect(await hashesOf(auth.signIn({ email: 'nobody@example.org', password }))).toEqual([cost]);
    expect(await hashesOf(auth.signIn({ email: 'not an address', password }))).toEqual([cost]);
    expect(await hashesOf(auth.signIn({ email: bob.email, password }))).toEqual([cost]);
    await service.database.query(`update users set password_hash = 'damaged' where email = $1`, [ada.email]);
    expect(await hashesOf(auth.signIn(ada))).toEqual([cost]);
    await service.database.query('update users set banned_until = now() + $1', ['1 hour']);
    expect(await hashesOf(auth.signIn(ada))).toEqual([cost]);
    expect(await hashesOf(auth.register(ada)), 'and so does a registration of a taken address').toEqual([cost]);
  });

  test('a password that differs in any character is refused', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const password = `${'Ada’s difference engine has a very long name, longer than bcrypt can tell apart: '.repeat(2)}end`;
    await admin.createUser({ ...ada, password }, asService);
    await auth.signIn({ ...ada, password });
    for (const wrong of [
      `${password.slice(0, 72)}${'x'.repeat(20)}`,
      password.slice(0, 72),
      password.slice(0, -1),
      `${password} `,
      ` ${password}`,
      password.toLowerCase(),
      password.replace('’', "'"),
    ])
      expect(await refusalWithoutTrace(service.database, () => auth.signIn({ ...ada, password: wrong }))).toMatchObject(
        {
          code: Code.Unauthenticated,
          reason: 'INVALID_CREDENTIALS',
        },
      );
  });

  test('a password in another Unicode form matches', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    await admin.createUser({ ...ada, password: 'Å café on the ﬁrst' }, asService);
    await auth.signIn({ ...ada, password: 'A\u030a cafe\u0301 on the first' });
    await auth.signIn({ ...ada, password: '\u212b café on the first' });
  });

  test('passwords with control characters or invalid text are refused', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    await service.welcome();
    for (const bad of [
      '\u0000',
      `${ada.password}\u0000`,
      `${ada.password}\u0000junk`,
      'a\u0007b',
      'a\u0085b',
      'a\ufffdb',
    ]) {
      const fields = ['password'];
      const signIn = () => auth.signIn({ ...ada, password: bad });
      expect(await refusalWithoutTrace(service.database, signIn)).toMatchObject({ code: Code.InvalidArgument, fields });
      const register = () => auth.register({ ...bob, password: `${bob.password}${bad}` });
      expect(await refusalWithoutTrace(service.database, register)).toMatchObject({
        code: Code.InvalidArgument,
        fields,
      });
    }
  });

  test('SQL in a password has no effect', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    await service.welcome();
    const words = [
      `' OR 1=1--`,
      `"; drop table users; --`,
      '%',
      '_',
      '\\',
      `ada@example.org' --`,
      '$' + '{1}',
      '$1',
      '?',
    ];
    for (const word of words) {
      for (const credentials of [
        { email: word, password: ada.password },
        { email: ada.email, password: word },
        { email: `${word}@example.org`, password: word },
      ])
        expect((await refusalWithoutTrace(service.database, () => auth.signIn(credentials))).reason).toBe(
          'INVALID_CREDENTIALS',
        );
      const register = () => auth.register({ ...bob, email: word });
      expect((await refusalWithoutTrace(service.database, register)).reason).toBe('INVALID_ARGUMENT');
    }
    await auth.register({ ...bob, name: `Robert'); drop table users; --` });
    expect((await service.signIn(bob)).user.name).toBe(`Robert'); drop table users; --`);
  });

  test('a new password may be long, and its length is counted in code points', async () => {
    const service = await start({ env: { PASSWORD_MIN_LENGTH: '15' } });
    const { auth, admin } = service.clients(wire);
    const emoji = '🙈🙉🙊🐵🐒🦍🦧🐶🐕🦮🐩🐺🦊🦝🐱';
    const good = [emoji, 'é'.repeat(64), '🙈'.repeat(128), '🙈'.repeat(256), 'x'.repeat(1024)];
    for (const [i, password] of good.entries()) {
      const email = `ada${i}@example.org`;
      await admin.createUser({ email, password }, asService);
      await auth.signIn({ email, password });
    }
    for (const [password, reason] of [
      [[...emoji].slice(1).join(''), 'WEAK_PASSWORD'],
      ['x'.repeat(1025), 'INVALID_ARGUMENT'],
      ['🙈'.repeat(257), 'INVALID_ARGUMENT'],
      ['', 'INVALID_ARGUMENT'],
    ] as const)
      expect((await refusalWithoutTrace(service.database, () => auth.register({ ...ada, password }))).reason).toBe(
        reason,
      );
  });

  test('a password that is common, or consists of the user’s name, is refused with the reasons', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    for (const [password, reasons] of [
      ['dragon', 'too_short,common'],
      ['football99!', 'common'],
      ['ada@example.org', 'context'],
      ['Gatehouse-1', 'context'],
    ] as const)
      expect(await refusalWithoutTrace(service.database, () => auth.register({ ...ada, password }))).toMatchObject({
        code: Code.InvalidArgument,
        reason: 'WEAK_PASSWORD',
        metadata: { reasons, min_length: '8' },
      });
  });

  test('a hash of another cost is replaced at the next sign-in with the right password', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    await service.welcome();
    const old = await hashWith(deriveWithArgon2, Buffer.from(ada.password), oldCost);
    await service.database.query('update users set password_hash = $1', [old]);
    await refusalOf(auth.signIn({ ...ada, password: 'a wrong password' }));
    expect(await storedHash(service)).toBe(old);
    expect(await hashesOf(auth.signIn(ada))).toEqual([oldCost, cost]);
    const replaced = await storedHash(service);
    expect(replaced).toMatch(/^\$argon2id\$v=19\$m=64,t=1,p=1\$/);
    expect(await hashesOf(auth.signIn(ada))).toEqual([cost]);
    expect(await storedHash(service)).toBe(replaced);
  });

  test('a damaged stored hash refuses every password, without an internal error', async () => {
    const service = await start({ skipChecks: ['secrets'] });
    const { auth } = service.clients(wire);
    await service.welcome();
    const huge = `$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$${'A'.repeat(43)}`;
    for (const stored of ['damaged', '', huge, '$2b$10$N9qo8uLOickgx2ZMRZoMye', '$y$j9T$x']) {
      await service.database.query('update users set password_hash = $1', [stored]);
      for (const password of [ada.password, stored || 'x', 'no user has this password'])
        expect(
          (await refusalWithoutTrace(service.database, () => auth.signIn({ ...ada, password }))).reason,
          stored,
        ).toBe('INVALID_CREDENTIALS');
    }
  });

  test('above the queue’s limit sign-ins are refused with a time to retry after, and leave nothing behind', async () => {
    const env = { HASH_CONCURRENCY: '1', HASH_QUEUE: '1', PASSWORD_HASH_COST: 'm=19456,t=2,p=1' };
    const service = await start({ env });
    const { auth } = service.clients(wire);
    await service.clients('json').admin.createUser(ada, asService);
    const { answers, errors } = await together(() => auth.signIn(ada), 10);
    expect(answers.length).toBeGreaterThanOrEqual(2);
    expect(new Set(errors.map(reasonOf))).toEqual(new Set(['OVER_CAPACITY']));
    const refusal = await refusalOf(Promise.reject(errors[0]));
    expect(refusal).toMatchObject({ code: Code.ResourceExhausted, retryAfter: 1, retryAfterHeader: '1' });
    expect(await service.database.query('select from sessions')).toHaveLength(answers.length);
  });
});

test('parallel sign-ins with a hash of another cost all succeed, and store one new hash', async () => {
  const service = await start({ replicas: 2 });
  await service.welcome();
  const old = await hashWith(deriveWithArgon2, Buffer.from(ada.password), oldCost);
  await service.database.query('update users set password_hash = $1', [old]);
  const { errors } = await together((i) => service.clients('grpc', i).auth.signIn(ada));
  expect(errors.map(reasonOf)).toEqual([]);
  expect(await hashesOf(service.signIn())).toEqual([cost]);
});

test('a password that is not a string is refused', async () => {
  const service = await start();
  await service.welcome();
  const path = '/gatehouse.v1.AuthService/SignIn';
  const { httpPort } = service.replicas[0]!;
  const texts = [`"${ada.email}"`, `"${ada.password}"`];
  for (const json of ['7', 'true', 'null', `[${texts[1]}]`, '{"$ne":1}', `{"password":${texts[1]}}`])
    for (const body of [`{"email":${texts[0]},"password":${json}}`, `{"email":${json},"password":${texts[1]}}`]) {
      const answer = await send(httpPort, { path, body });
      expect(answer, body).toMatchObject({ status: 400, code: 'invalid_argument' });
      expect(answer.text).not.toContain('difference');
    }
});
