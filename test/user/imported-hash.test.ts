import { hash as bcrypt } from '@node-rs/bcrypt';
import argon2 from 'argon2';
import { describe, expect, test } from 'vitest';
import { matchesImported, readImported } from '../../src/user/imported-hash.ts';
import { asService } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

const firebaseKey = 'jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==';
const firebaseHash =
  '42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==';
const firebase = `$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=${firebaseKey}$${firebaseHash}`;

/** Published hashes with their passwords, and hashes that other programs made. */
const known: Record<string, [password: string, hash: string]> = {
  "bcrypt of Openwall's test suite": ['U*U', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
  'bcrypt as $2b$': ['U*U', '$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
  'bcrypt as $2y$': ['U*U', '$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
  "Firebase's own example": ['user1password', firebase],
  "Firebase's own example as Ory Kratos writes it": [
    'user1password',
    `$firescrypt$ln=14,r=8,p=1$${firebaseHash}$Bw==$${firebaseKey}`,
  ],
  'scrypt as Ory Kratos writes it, with N itself': [
    'a difference engine',
    '$scrypt$ln=16384,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA==$2iXD8xyXYp3qFyg3YAIQkbrp+NflbZ+7m+62tGDgAfY=',
  ],
  'scrypt as Better Auth writes it': [
    'a difference engine',
    '6e1f0a9b3c5d7e8f102132435465768a:831aa11221386538d1494aa32c0fd1c2718148bbbe892d3f598906afcc7fbcbce303ad6f79b33ff6f1444f9a493b1019c1c0d47dca3689e632a482c7647f148e',
  ],
  "argon2i of version 16, of the reference implementation's tests": [
    'password',
    '$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY',
  ],
  'the same with its version': [
    'password',
    '$argon2i$v=16$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY',
  ],
  'scrypt, the vector of RFC 7914': [
    'password',
    '$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA',
  ],
  'pbkdf2-sha256, the vector of RFC 7914 as passlib writes it': [
    'passwd',
    '$pbkdf2-sha256$1$c2FsdA$VawEblbjCJ/sFpHCJUS2BflBhSFt3gRl5oudV8INrLxJypzM8Xm2RZkWZLOdd.8xfHG4RbHjC9UJESBB06GXgw',
  ],
  'pbkdf2-sha512, a common test vector': [
    'password',
    '$pbkdf2-sha512$i=1$c2FsdA$hn9wzxreAs/zdSWZo6U9xK80x6ZpgVrl1RNVThyM8lLALUcKKFoFAbrZmb/pQ8CPBQI119aLHaVeY/c7YKV/zg',
  ],
  'pbkdf2-sha256, the vector of RFC 7914 as Django writes it': [
    'passwd',
    'pbkdf2_sha256$1$salt$VawEblbjCJ/sFpHCJUS2BflBhSFt3gRl5oudV8INrLxJypzM8Xm2RZkWZLOdd+8xfHG4RbHjC9UJESBB06GXgw==',
  ],
};

async function matches(hash: string, password: string): Promise<boolean> {
  const read = readImported(hash);
  return 'check' in read ? matchesImported(read.check, password) : Promise.reject(new Error(read.why));
}

describe('a hash of another system', () => {
  test.each(Object.entries(known))(
    'that is %s is matched by its password and by no other',
    async (_, [password, hash]) => {
      expect(await matches(hash, password)).toBe(true);
      expect(await matches(hash, `${password}!`)).toBe(false);
      expect(await matches(hash, '')).toBe(false);
    },
  );

  test.each([
    ['argon2id', 16],
    ['argon2id', 19],
    ['argon2i', 16],
    ['argon2i', 19],
  ] as const)('that argon2 made as %s of version %d is matched', async (kind, version) => {
    const costs = { memoryCost: 1024, timeCost: 3, hashLength: 24 };
    const hash = await argon2.hash('a password', { type: argon2[kind], version, ...costs });
    expect(hash).toContain(`$v=${version}$`);
    expect(await matches(hash, 'a password')).toBe(true);
    expect(await matches(hash, 'another password')).toBe(false);
  });

  test('is matched by the bytes as typed, and by their NFKC form', async () => {
    const typed = 'ﬁnal grade';
    expect(await matches(await bcrypt(typed, 4), typed)).toBe(true);
    expect(await matches(await bcrypt('final grade', 4), typed)).toBe(true);
    expect(await matches(await bcrypt(typed, 4), 'final grade'), 'but not the other way round').toBe(false);
  });

  test.each([
    ['the form is not known', 'plain text'],
    ['the form is not known', '$1$salt$abc'],
    ['the form is not known', '$argon2d$v=19$m=1024,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g'],
    ['the form is not known', `${known["bcrypt of Openwall's test suite"]![1]}\n`],
    ['the form is not known', '$argon2id$v=18$m=1024,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g'],
    ['the form is not known', `6e1f0a9b3c5d7e8f102132435465768a:${'0'.repeat(64)}`],
    ['it is damaged', '$scrypt$ln=16000,r=8,p=1$TmFDbA$aGFzaGhhc2hoYXNoaGFzaGhhc2g'],
    ['the cost is too high', '$scrypt$ln=1048576,r=8,p=1$TmFDbA$aGFzaGhhc2hoYXNoaGFzaGhhc2g'],
    ['it is damaged', '$pbkdf2-sha256$6400$0ZrzXitFSGltTQnBWOsdeg$Y11A'],
    ['it is damaged', '$argon2id$v=19$m=1024,t=0,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g'],
    ['the cost is too high', '$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g'],
    ['the cost is too high', '$argon2id$v=19$m=262144,t=20,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g'],
    ['the cost is too high', '$2b$20$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
    ['the cost is too high', '$scrypt$ln=40,r=8,p=1$TmFDbA$aGFzaGhhc2hoYXNoaGFzaGhhc2g'],
    ['the cost is too high', '$scrypt$ln=14,r=8,p=900$TmFDbA$aGFzaGhhc2hoYXNoaGFzaGhhc2g'],
    [
      'the cost is too high',
      '$pbkdf2-sha256$99000000$0ZrzXitFSGltTQnBWOsdeg$Y11AchqV4b0sUisdZd0Xr97KWoymNE0LNNrnEgY4H9M',
    ],
  ])('is refused because %s: %s', (why, hash) => {
    expect(readImported(hash)).toEqual({ why });
  });
});

describe.each(wires)('over %s', (wire) => {
  test('a user who was created with the hash of another system signs in, and the hash is replaced by one of ours', async () => {
    const service = await start();
    const { admin, auth } = service.clients(wire);
    const stored = async () => (await service.database.query('select password_hash from users'))[0]!.password_hash;
    const email = 'ada@example.org';
    await admin.createUser({ email, passwordHash: firebase }, asService);
    expect((await refusalOf(auth.signIn({ email, password: 'user2password' }))).reason).toBe('INVALID_CREDENTIALS');
    expect(await stored()).toBe(`imported:${firebase}`);
    await Promise.all(Array.from({ length: 5 }, () => auth.signIn({ email, password: 'user1password' })));
    const ours = await stored();
    expect(ours).toMatch(/^\$argon2id\$v=19\$m=64,t=1,p=1\$/);
    await auth.signIn({ email, password: 'user1password' });
    expect(await stored(), 'once').toBe(ours);
  });

  test('a hash that is not supported is refused with the reason, and a hash beside a password is refused', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const create = (passwordHash: string, password = '') =>
      refusalOf(admin.createUser({ email: 'ada@example.org', passwordHash, password }, asService));
    expect(await create('{SSHA}abcdefgh')).toMatchObject({
      code: 3,
      reason: 'HASH_NOT_SUPPORTED',
      metadata: { why: 'the form is not known' },
    });
    expect(await create(firebase, 'a long password')).toMatchObject({ code: 3, fields: ['password_hash'] });
  });
});
