-- Writes the users of Better Auth as lines for `npm start -- import`, without banned and anonymous ones. Reads each column by
-- both its names: emailVerified, of Better Auth's own migrations and Prisma, and email_verified, of Drizzle.
set time zone 'UTC';

select json_build_object(
  'id', case when u.id::text ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then u.id end,
  'email', u.email,
  'name', u.name,
  'email_verified', coalesce(r -> 'emailVerified', r -> 'email_verified'),
  'password_hash', (
    select a.password
    from account a, to_jsonb(a) c
    where coalesce(c ->> 'userId', c ->> 'user_id') = u.id::text
      and coalesce(c ->> 'providerId', c ->> 'provider_id') = 'credential'
  ),
  'created_at', coalesce(r ->> 'createdAt', r ->> 'created_at')::timestamptz,
  'app_metadata', json_build_object('better_auth_id', u.id)
)
from "user" u, to_jsonb(u) r
where coalesce(r ->> 'banned', 'false') = 'false'
  and coalesce(r ->> 'isAnonymous', r ->> 'is_anonymous', 'false') = 'false';
