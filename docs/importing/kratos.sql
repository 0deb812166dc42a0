-- Writes the active identities of Ory Kratos that have an address as lines for `npm start -- import`. Expects the traits
-- `email` and, optionally, `name`: text, or an object with `first` and `last`. Change the paths for another schema.
set time zone 'UTC';

select json_build_object(
  'id', i.id,
  'email', i.traits ->> 'email',
  'name', case jsonb_typeof(i.traits -> 'name')
    when 'object' then concat_ws(' ', i.traits -> 'name' ->> 'first', i.traits -> 'name' ->> 'last')
    else i.traits ->> 'name'
  end,
  'email_verified', exists (
    select 1 from identity_verifiable_addresses a
    where a.identity_id = i.id and a.via = 'email' and a.verified and lower(a.value) = lower(i.traits ->> 'email')
  ),
  'password_hash', (
    select c.config ->> 'hashed_password'
    from identity_credentials c
    join identity_credential_types t on t.id = c.identity_credential_type_id
    where c.identity_id = i.id and t.name = 'password'
  ),
  'created_at', i.created_at::timestamptz,
  -- Users read metadata_public and cannot change it, as app_metadata here. They read nothing of metadata_admin.
  'app_metadata', nullif(i.metadata_public, 'null'),
  'user_metadata', i.traits - 'email' - 'name'
)
from identities i
where i.state = 'active' and i.traits ->> 'email' <> '';
