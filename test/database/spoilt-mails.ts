import { expect } from 'vitest';
import type { TestService } from '../support/start.ts';

/** Two mails that cannot be rendered: one is retried, the other has no attempt left. */
export async function spoilMails(service: TestService): Promise<void> {
  await service.database.query(`
    insert into mail_outbox (id, project_id, kind, recipient, locale, sealed, state, attempts, created_at, due_at)
    select gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'verification', n || '@example.net', '', decode('00', 'hex'), 'queued',
      n, now(), now() - interval '1 hour' from unnest(array[0, 15]) n`);
  const left = `select count(*)::int as count from mail_outbox where fault is not null`;
  const count = async () => (await service.database.query<{ count: number }>(left))[0]!.count;
  await expect.poll(count, { timeout: 5000 }).toBe(2);
}
