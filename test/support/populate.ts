import { populateAccounts } from './account-methods.ts';
import type { TestDatabase } from './database.ts';

const project = `'00000000-0000-7000-8000-000000000001'::uuid`;

/** Inserts twenty thousand users with a session and an API key each. */
export function populatePeople({ query }: TestDatabase): Promise<unknown> {
  return query(`
    create function pg_temp.id(kind int, n int) returns uuid language sql immutable as
      $$ select ('019a0000-000' || kind || '-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
    insert into users (id, project_id, email, email_key, name, app_metadata, user_metadata, created_at, updated_at)
      select pg_temp.id(1, n), ${project}, n || '@example.org', n || '@example.org', 'n', '{}', '{}', now(), now()
      from generate_series(1, 20000) n;
    insert into sessions (id, project_id, user_id, kind, aal, amr, generation, secret_hash, user_agent, address, created_at,
        refreshed_at, idle_seconds, idle_expires_at, expires_at, refresh_window_at, refresh_count)
      select pg_temp.id(2, n), ${project}, pg_temp.id(1, n), 'web', 1, '[]', 0, sha256(n::text::bytea), 'a browser', '192.0.2.1',
        now(), now(), 604800, now() + interval '7 days', now() + interval '30 days', now(), 0
      from generate_series(1, 20000) n;
    insert into api_keys (id, project_id, user_id, hash, prefix, name, scopes, created_at, expires_at)
      select pg_temp.id(4, n), ${project}, pg_temp.id(1, n), sha256(n::text::bytea), 'ghk_test_', 'a program', '[]',
        now(), now() + interval '1 year'
      from generate_series(1, 20000) n;
    insert into identities (id, project_id, user_id, provider, subject, email_verified, name, username, picture_url, created_at)
      select pg_temp.id(7, n), ${project}, pg_temp.id(1, n), 'acme', 'subject ' || n, true, '', '', '', now()
      from generate_series(1, 20000) n;
    insert into oauth_states (id, project_id, hash, provider, sealed, created_at, expires_at)
      select pg_temp.id(8, n), ${project}, sha256(n::text::bytea), 'acme', '', now(), now() + n * interval '1 second'
      from generate_series(1, 20000) n;
    analyze`);
}

/** And an audit row, an account and a rate limit each. */
export async function populate(database: TestDatabase): Promise<void> {
  await populatePeople(database);
  await database.query(`
    insert into audit_events (id, project_id, at, action, result, actor_kind, user_id, address, user_agent, request_id)
      select pg_temp.id(3, n), ${project}, now(), 'auth.login', 'SUCCESS', 'anyone', pg_temp.id(1, n), '192.0.2.1', 'a browser', 'r'
      from generate_series(1, 20000) n;
    insert into login_attempts (id, project_id, kind, state, code_hash, polling_hash, client_name, address, user_agent, comparison,
        about, created_at, expires_at, poll_interval)
      select pg_temp.id(5, n), ${project}, 'device', 'pending', sha256(n::text::bytea), sha256((-n)::text::bytea), '', '192.0.2.1', 'r',
        '42', '{}', now(), now() + interval '1 hour', 5
      from generate_series(1, 20000) n;
    ${populateAccounts(project)}
    insert into rate_limits select ${project}, 'AuthService.SignIn ' || n, now() + n * interval '1 second', 1
      from generate_series(1, 20000) n;
    insert into durable_rate_limits select ${project}, 'password recent ' || n, now() + n * interval '1 second', 1
      from generate_series(1, 20000) n;
    insert into login_attempts (id, project_id, kind, state, code_hash, polling_hash, client_name, address, user_agent, comparison,
        about, user_id, created_at, expires_at, changed_at, poll_interval)
      select pg_temp.id(6, n), ${project}, 'cli', 'approved', sha256(n::text::bytea), sha256(n::text::bytea), '', '', '', '47', '{}',
        pg_temp.id(1, n), now(), now() + n * interval '1 second', now() - n * interval '1 second', 5
      from generate_series(1, 20000) n;
    analyze`);
}
