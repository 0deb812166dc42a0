import type pg from 'pg';

type Payload = {
  readonly grantId?: string;
  readonly userCode?: string;
  readonly uid?: string;
  readonly consumed?: unknown;
};

export const schema = `
  create table if not exists records (
    model text not null, id text not null, payload jsonb not null, grant_id text, user_code text, uid text,
    expires_at timestamptz, consumed_at timestamptz, primary key (model, id)
  ) with (fillfactor = 85);
  create index if not exists records_grant on records (grant_id) where grant_id is not null;
  create index if not exists records_user_code on records (user_code) where user_code is not null;
  create index if not exists records_uid on records (uid) where uid is not null`;

const found = `select payload, consumed_at from records where model = $1 and (expires_at is null or expires_at > now())`;

/** Where oidc-provider keeps its records: one table, one prepared statement for each operation. */
export function adapterOf(database: pg.Pool) {
  const run = (name: string, text: string, values: unknown[]) => database.query({ name, text, values });
  const find = async (by: string, text: string, values: unknown[]) => {
    const { rows } = await run(`find by ${by}`, text, values);
    const [row] = rows as { payload: Payload; consumed_at: Date | null }[];
    return (
      row && { ...row.payload, ...(row.consumed_at && { consumed: Math.floor(row.consumed_at.getTime() / 1000) }) }
    );
  };
  return class {
    readonly #model: string;

    constructor(model: string) {
      this.#model = model;
    }

    async upsert(id: string, payload: Payload, expiresIn?: number): Promise<void> {
      const { grantId, userCode, uid } = payload;
      const expiresAt = expiresIn ? new Date(Date.now() + expiresIn * 1000) : null;
      await run('upsert', upsert, [this.#model, id, payload, grantId, userCode, uid, expiresAt]);
    }

    find(id: string) {
      return find('id', `${found} and id = $2`, [this.#model, id]);
    }

    findByUid(uid: string) {
      return find('uid', `${found} and uid = $2`, [this.#model, uid]);
    }

    findByUserCode(code: string) {
      return find('user code', `${found} and user_code = $2`, [this.#model, code]);
    }

    async consume(id: string): Promise<void> {
      const text = 'update records set consumed_at = now() where model = $1 and id = $2';
      await run('consume', text, [this.#model, id]);
    }

    async destroy(id: string): Promise<void> {
      await run('destroy', 'delete from records where model = $1 and id = $2', [this.#model, id]);
    }

    async revokeByGrantId(grantId: string): Promise<void> {
      await run('revoke', 'delete from records where model = $1 and grant_id = $2', [this.#model, grantId]);
    }
  };
}

const upsert = `
  insert into records (model, id, payload, grant_id, user_code, uid, expires_at) values ($1, $2, $3, $4, $5, $6, $7)
  on conflict (model, id) do update set payload = excluded.payload, expires_at = excluded.expires_at`;
