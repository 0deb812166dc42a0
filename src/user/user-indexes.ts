/**
 * What an operator lists users by, each in the order of bytes: that of a locale changes with the database's libraries. And
 * the guests, for the janitor.
 */
export const userIndexes = [
  listed('users_email_prefix', '"email_key" collate "C"'),
  { name: 'users_guests', expression: `create index "users_guests" on "users" ("created_at") where "is_anonymous"` },
  listed('users_created', '"created_at", "id"'),
  listed('users_name', 'lower("name" collate "C"), "id"'),
  listed('users_role', '"system_role" collate "C", "created_at", "id"'),
  listed('users_role_name', '"system_role" collate "C", lower("name" collate "C"), "id"'),
  listed('users_banned', '"created_at", "id"', '"banned_until" is not null and '),
];

function listed(name: string, columns: string, condition = '') {
  const where = `${condition}"deleted_at" is null`;
  return { name, expression: `create index "${name}" on "users" ("project_id", ${columns}) where ${where}` };
}
