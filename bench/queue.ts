import type { MasterKeys } from '../src/crypto/master-keys.ts';

type Query = (text: string, values: unknown[]) => Promise<unknown>;

const atOnce = 20_000;
const idOf = (kind: number, n: number) => `01900000-000${kind}-7000-8000-${n.toString(16).padStart(12, '0')}`;

/** The id of the nth mail, which its Message-ID begins with. */
export const mailIdOf = (n: number) => idOf(1, n);

/**
 * Queues mails as the service does: sealed, and each with the open one-time value of its link. They are due one
 * millisecond after the other, two for each address.
 */
export async function fillQueue(query: Query, keys: MasterKeys, now: Date, count: number): Promise<void> {
  for (let first = 0; first < count; first += atOnce)
    await fillPart(query, keys, now, count, { first, length: Math.min(atOnce, count - first) });
}

async function fillPart(
  query: Query,
  keys: MasterKeys,
  now: Date,
  count: number,
  { first, length }: { first: number; length: number },
): Promise<void> {
  const mails = Array.from({ length }, (_, place) => {
    const n = first + place;
    const id = mailIdOf(n);
    const recipient = `p${Math.floor(n / 2)}@example.org`;
    const link = `http://localhost:3000/magic-link?token=number-${n}`;
    const variables = { site: 'localhost:3000', email: recipient, name: '', link, lifetime: '600' };
    const sealed = `\\x${keys.seal('mail', id, Buffer.from(JSON.stringify(variables))).toString('hex')}`;
    return { n, id, token: idOf(2, n), holder: idOf(3, n), recipient, sealed };
  });
  await query(
    `with drafts as (
       select * from jsonb_to_recordset($1) as d (n int, id uuid, token uuid, holder uuid, recipient text, sealed bytea)
     ), holders as (
       insert into users (id, project_id, is_anonymous, app_metadata, user_metadata, created_at, updated_at)
       select d.holder, p.id, true, '{}', '{}', $2, $2 from drafts d, projects p
     ), tokens as (
       insert into one_time_tokens (id, project_id, user_id, kind, target, hash, lifetime_seconds, created_at, expires_at)
       select d.token, p.id, d.holder, 'magic_link', d.recipient, sha256(d.n::text::bytea), 600, $2,
         $2::timestamptz + interval '1 day' from drafts d, projects p
     )
     insert into mail_outbox (id, project_id, kind, recipient, locale, token_id, user_id, sealed, state, attempts, created_at, due_at)
     select d.id, p.id, 'magic_link', d.recipient, '', d.token, d.holder, d.sealed, 'queued', 0, $2,
       $2::timestamptz - ($3 - d.n) * interval '1 millisecond' from drafts d, projects p`,
    [JSON.stringify(mails), now, count],
  );
}
