-- Writes the users of Supabase Auth that have an address as lines for `npm start -- import`, without anonymous, deleted and
-- banned users and those of single sign-on.
set time zone 'UTC';

select json_build_object(
  'id', u.id,
  'email', u.email,
  'name', coalesce(u.raw_user_meta_data ->> 'full_name', u.raw_user_meta_data ->> 'name'),
  'email_verified', u.email_confirmed_at is not null,
  'password_hash', u.encrypted_password,
  'created_at', u.created_at,
  'phone', u.phone,
  'app_metadata', u.raw_app_meta_data,
  'user_metadata', u.raw_user_meta_data
)
from auth.users u
where u.email <> '' and not u.is_anonymous and not u.is_sso_user and u.deleted_at is null
  and (u.banned_until is null or u.banned_until < now());
