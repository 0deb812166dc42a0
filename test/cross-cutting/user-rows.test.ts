import { expect, test } from 'vitest';
import { readSources } from '../support/source.ts';
import { preparedStatements, tablesWithoutUser } from '../support/user-rows.ts';

const reasons = {
  address: 'finds a user by an address',
  code: 'finds a user by a code that they have passed on',
  account: 'reads or removes the members of an account',
  owner: 'finds another owner of an account that an owner leaves',
  list: 'lists the users of a project for an operator',
  acting: 'revokes the sessions in which an operator acts as other users',
  queue: 'works through the mails of all users, each with the value of its own user',
  sweep: 'deletes expired rows of all users',
  machine: 'finds another user who is signed in on a machine',
  sample: 'counts users of a project, up to a bound',
  command: 'counts the users of an installation for a command',
  restored: 'voids the values of all users after a restore',
  identity: 'finds a user by what a provider has proved',
  membership: 'reads the membership of the user whom the same statement names',
} as const;

/** ListUsers has a statement for each order and index. */
const userLists = ['asc', 'desc'].flatMap((direction) => [
  `users_by_address_${direction}`,
  ...['create_time', 'name', 'role'].flatMap((order) => [
    `users_by_${order}_${direction}`,
    `users_by_${order}_${direction}_of_role`,
  ]),
  `users_by_create_time_${direction}_of_banned`,
]);

/** The statements that read or change rows of users whom they do not name, and why. */
const exceptions: Readonly<Record<string, readonly [tables: string, reason: keyof typeof reasons]>> = {
  user_by_email: ['users', 'address'],
  one_time_holders_of_new_address: ['one_time_tokens', 'address'],
  users_count: ['users', 'sample'],
  users_import_holders: ['users', 'address'],
  sign_in_look_up: ['sessions users', 'address'],
  account_invite_make_room: ['memberships users', 'address'],
  referrer_lock: ['referral_codes users', 'code'],
  members_list: ['memberships users', 'account'],
  members_list_own: ['memberships users', 'account'],
  members_lock: ['memberships users', 'account'],
  member_leave: ['memberships users', 'owner'],
  member_set_role: ['memberships users', 'owner'],
  user_leave_accounts: ['memberships users', 'owner'],
  unproven_members_remove: ['memberships users', 'account'],
  unproven_memberships_leave: ['memberships users', 'owner'],
  ...Object.fromEntries(userLists.map((name) => [name, ['users', 'list'] as const])),
  sessions_revoke_impersonated: ['sessions', 'acting'],
  mail_claim: ['one_time_tokens', 'queue'],
  mail_claim_by_domain: ['one_time_tokens', 'queue'],
  sweep_sessions: ['sessions', 'sweep'],
  sweep_api_keys: ['api_keys', 'sweep'],
  sweep_revoked_api_keys: ['api_keys', 'sweep'],
  sweep_one_time_tokens: ['one_time_tokens', 'sweep'],
  sweep_challenges: ['challenges', 'sweep'],
  sweep_trusted_devices: ['trusted_devices', 'sweep'],
  sweep_usage_counters: ['usage_counters', 'sweep'],
  sweep_users: ['sessions users', 'sweep'],
  users_with_pepper: ['users', 'command'],
  one_time_void_all: ['one_time_tokens', 'restored'],
  identity_by_subject: ['identities', 'identity'],
  fingerprint_holder: ['sessions users', 'machine'],
  hash_shares_look: ['users', 'sample'],
  api_key_states: ['memberships', 'membership'],
  session_elevate: ['memberships', 'membership'],
  session_minted: ['memberships', 'membership'],
  session_refreshed: ['memberships', 'membership'],
  session_refreshed_with_user: ['memberships', 'membership'],
  session_renew: ['memberships', 'membership'],
  session_renew_unused: ['memberships', 'membership'],
  session_rotate: ['memberships', 'membership'],
  session_rotate_all: ['memberships', 'membership'],
  session_rotate_all_with_user: ['memberships', 'membership'],
  session_rotate_with_user: ['memberships', 'membership'],
  session_states_introspected: ['memberships', 'membership'],
  user_placed: ['memberships', 'membership'],
};

test('every prepared statement on rows of users compares the user with a parameter, or is an exception with a reason', async () => {
  const statements = await preparedStatements();
  expect(statements.length).toBeGreaterThan(90);
  const found = statements.map(([name, sql]) => [name, tablesWithoutUser(sql).join(' ')] as const);
  const expected = Object.entries(exceptions).map(([name, [tables]]) => [name, tables] as const);
  expect(Object.fromEntries(found.filter(([, tables]) => tables !== ''))).toEqual(Object.fromEntries(expected));
});

test.each<[sql: string, tables: string]>([
  ['select id from sessions where id = $1', 'sessions'],
  ['select id from sessions where user_id = $1 or id = $2', 'sessions'],
  ['select id from sessions where (user_id = $1 or id = $2)', 'sessions'],
  ['select user_id = $1 from sessions', 'sessions'],
  ['update memberships set user_id = $1 where id = $2', 'memberships'],
  ['delete from one_time_tokens t using users u where u.id = t.user_id and t.hash = $1', 'one_time_tokens users'],
  ['select 1 from sessions s join users u on u.id = s.user_id where s.user_id = $1', 'users'],
  ['select 1 from users where id = $1 and exists (select 1 from users o where o.id = impersonator_id)', 'users'],
  ["select ' where user_id = $1 ' from sessions", 'sessions'],
  ['select id from users where id = $1 union all select id from users', 'users'],
  ['select 1 from other.sessions s, projects p', ''],
  ['insert into sessions (id, user_id) values ($1, $2)', ''],
  ['select 1 from unnest($1::uuid[]) as named (user_id) join sessions s on s.user_id = named.user_id', ''],
  ['select 1 from found join sessions s on s.user_id = found.user_id', 'sessions'],
])('of the tables of users, %s leaves out the user of: %s', (sql, tables) => {
  expect(tablesWithoutUser(sql).join(' ')).toBe(tables);
});

// The ORM changes a row by its primary key, which names the user in `users` only.
test('the ORM reads and changes, of all rows of users, only those of the table users, and by id', () => {
  const call = /\bem\s*\.(?:find\w*|count|nativeUpdate|nativeDelete|upsert)\(\s*(\w+),\s*([^;]*?)\);/g;
  const calls = readSources('src/**/*.ts').flatMap(({ path, text }) =>
    [...text.matchAll(call)].map(([, entity, values]) => ({ path, entity: entity!, values: values! })),
  );
  const others = [
    'Session',
    'ApiKey',
    'OneTimeToken',
    'Membership',
    'UsageCounter',
    'ReferralCode',
    'Referral',
    'Factor',
    'RecoveryCode',
    'Challenge',
    'TrustedDevice',
    'WebauthnCredential',
  ];
  expect(calls.filter(({ entity }) => others.includes(entity))).toEqual([]);
  const ofUsers = calls.filter(({ entity }) => entity === 'User');
  expect(ofUsers.length).toBeGreaterThan(3);
  const byId = /^(?:\{ id\b|where\b)/;
  expect(ofUsers.filter(({ values }) => !byId.test(values)).map(({ path }) => path)).toEqual([
    'src/account/invites/invite-code.ts', // by address
    'src/auth/hidden-registration.ts', // by address
  ]);
});
