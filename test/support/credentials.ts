import type { Reason } from '../../src/errors.ts';
import { useApp } from './authenticator.ts';
import { resign } from './forge.ts';
import { ada, asService, serviceKey } from './people.ts';
import type { TestService } from './start.ts';

/** A value of the Authorization header, and the caller that it stands for. */
export interface Credential {
  readonly name: string;
  readonly header: string | undefined;
  /** What is wrong with it, if anything. */
  readonly fault?: Reason;
  readonly isService?: true;
  readonly isOperator?: true;
  readonly isImpersonated?: true;
  readonly isApiKey?: true;
  readonly isGuest?: true;
  readonly mustChangePassword?: true;
  readonly hasTwoFactors?: true;
  /** The user has a factor, and the session is at AAL1. */
  readonly hasUnusedFactor?: true;
  readonly isStale?: true;
}

/** One of each kind, good and bad. Creates the users they need. */
export async function credentialsOf(service: TestService): Promise<Credential[]> {
  const { tokens } = await service.welcome(ada);
  const good = `Bearer ${tokens.accessToken}`;
  return [
    { name: 'nothing', header: undefined, fault: 'AUTHENTICATION_REQUIRED' },
    { name: 'a user', header: good },
    { name: 'a user, lower case', header: `bearer ${tokens.accessToken}` },
    { name: 'a service key', header: `Bearer ${serviceKey}`, isService: true },
    ...(await otherUsers(service)),
    ...(await usersWithFactors(service)),
    ...(await endedUsers(service)),
    ...(await apiKeys(service)),
    ...notBearers(good, tokens.accessToken),
    ...wrongTokens(service, tokens.accessToken, tokens.refreshToken),
  ];
}

async function otherUsers(service: TestService): Promise<Credential[]> {
  const { tokens: guest } = await service.guest();
  const { admin } = service.clients('json');
  await admin.createUser({ ...person('eve'), mustChangePassword: true }, asService);
  const { tokens: eve } = await service.signIn(person('eve'));
  const strong = await service.welcome(person('strong'));
  const stale = await service.welcome(person('stale'));
  await service.database.query('update sessions set aal = 2 where id = $1', [strong.session.id]);
  await service.database.query(`update sessions set amr = '[{"method":"password","timestamp":1}]' where id = $1`, [
    stale.session.id,
  ]);
  const operator = await service.operator();
  const acting = await admin.impersonateUser({ userId: strong.user.id }, operator.as);
  const strongToken = resign(service, strong.tokens.accessToken, { claims: { aal: 'aal2' } });
  return [
    { name: 'a guest', header: `Bearer ${guest.accessToken}`, isGuest: true },
    { name: 'a user who must change the password', header: `Bearer ${eve.accessToken}`, mustChangePassword: true },
    { name: 'a user with two factors', header: `Bearer ${strongToken}`, hasTwoFactors: true },
    { name: 'an operator', header: `Bearer ${operator.tokens.accessToken}`, isOperator: true },
    {
      name: 'an operator who acts as a user',
      header: `Bearer ${acting.tokens!.accessToken}`,
      isImpersonated: true,
    },
    { name: 'a user who signed in long ago', header: `Bearer ${stale.tokens.accessToken}`, isStale: true },
  ];
}

async function usersWithFactors(service: TestService): Promise<Credential[]> {
  const below = { ...person('below'), emailVerified: true };
  await useApp(service.clients('json'), (await service.welcome(below)).as, service.now());
  const { tokens: user } = await service.signIn(below);
  const careful = { ...person('careful'), emailVerified: true };
  await service.clients('json').admin.createUser(careful, asService);
  await useApp(service.clients('json'), (await service.signIn(careful)).as, service.now());
  await service.database.query(`update users set system_role = 'operator' where email = $1`, [careful.email]);
  const { tokens: operator } = await service.signIn(careful);
  const hasUnusedFactor = true;
  return [
    { name: 'a user with a factor, at AAL1', header: `Bearer ${user.accessToken}`, hasUnusedFactor },
    {
      name: 'an operator with a factor, at AAL1',
      header: `Bearer ${operator.accessToken}`,
      isOperator: true,
      hasUnusedFactor,
    },
  ];
}

async function endedUsers(service: TestService): Promise<Credential[]> {
  const { sessions, admin } = service.clients('json');
  const revoked = await service.welcome(person('revoked'));
  await sessions.signOut({}, revoked.as);
  const banned = await service.welcome(person('banned'));
  await admin.banUser({ userId: banned.user.id }, asService);
  const deleted = await service.welcome(person('deleted'));
  await admin.deleteUser({ userId: deleted.user.id }, asService);
  // Banning and deleting revoke all sessions. Should one be left, the state of its user must suffice.
  const left = await service.welcome(person('left'));
  const gone = await service.welcome(person('gone'));
  await service.database.query(`update users set banned_until = now() + interval '1 day' where id = $1`, [
    left.user.id,
  ]);
  await service.database.query('update users set deleted_at = now() where id = $1', [gone.user.id]);
  const ended = { revoked, banned, deleted, 'banned, but not revoked,': left, 'deleted, but not revoked,': gone };
  return Object.entries(ended).map(([name, { tokens }]) => ({
    name: `a ${name} one`,
    header: `Bearer ${tokens.accessToken}`,
    fault: 'SESSION_REVOKED',
  }));
}

async function apiKeys(service: TestService): Promise<Credential[]> {
  const { devices } = service.clients('json');
  const { as } = await service.welcome({ ...person('programmer'), emailVerified: true });
  const [good, revoked] = [
    await devices.createApiKey({ name: 'good' }, as),
    await devices.createApiKey({ name: 'revoked' }, as),
  ];
  await devices.revokeApiKey({ apiKeyId: revoked.apiKey!.id }, as);
  const fault = 'API_KEY_INVALID';
  return [
    { name: 'an API key', header: `Bearer ${good.secret}`, isApiKey: true },
    { name: 'a revoked API key', header: `Bearer ${revoked.secret}`, fault },
    { name: 'a part of an API key', header: `Bearer ${good.secret.slice(0, -1)}`, fault },
  ];
}

function notBearers(good: string, token: string): Credential[] {
  const spellings = {
    'Basic of a good token': `Basic ${Buffer.from(`user:${token}`).toString('base64')}`,
    'a good token as Basic': `Basic ${token}`,
    'a good token without a scheme': token,
    'a scheme without a token': 'Bearer',
    'two spaces': `Bearer  ${token}`,
    'two bearers': `${good}, ${good}`,
    'a good token and more': `${good} more`,
  };
  return Object.entries(spellings).map(([name, header]) => ({ name, header, fault: 'TOKEN_INVALID' }));
}

function wrongTokens(service: TestService, access: string, refresh: string): Credential[] {
  const past = Math.floor(service.now().getTime() / 1000) - 7200;
  const expired = resign(service, access, { claims: { iat: past, exp: past + 3600 } });
  return [
    { name: 'garbage', header: 'Bearer garbage', fault: 'TOKEN_INVALID' },
    { name: 'garbage with dots', header: 'Bearer gar.ba.ge', fault: 'TOKEN_INVALID' },
    { name: 'a refresh token', header: `Bearer ${refresh}`, fault: 'TOKEN_INVALID' },
    { name: 'a wrong service key', header: `Bearer ${serviceKey}2`, fault: 'TOKEN_INVALID' },
    { name: 'a service key in capitals', header: `Bearer ${serviceKey.toUpperCase()}`, fault: 'TOKEN_INVALID' },
    { name: 'an expired token', header: `Bearer ${expired}`, fault: 'TOKEN_EXPIRED' },
  ];
}

function person(name: string) {
  return { email: `${name}@example.org`, password: `${name} has a long one` };
}
