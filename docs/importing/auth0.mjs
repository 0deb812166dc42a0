// Writes the users of an Auth0 export as lines for `npm start -- import`, without blocked users and those without an address:
// node auth0.mjs USERS [PASSWORDS] > users.jsonl
import { createReadStream } from 'node:fs';

const [users, passwords] = process.argv.slice(2);
if (!users) {
  process.stderr.write('name the files: node auth0.mjs USERS [PASSWORDS] > users.jsonl\n');
  process.exit(1);
}
const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const hashes = new Map();
if (passwords)
  for await (const { _id, alt_id: id = _id.$oid ?? _id, passwordHash } of objectsOf(passwords))
    hashes.set(`auth0|${id}`, passwordHash);
for await (const user of objectsOf(users)) {
  if (!user.email || user.blocked) continue;
  const line = {
    id: [user.user_id.split('|').at(-1)].find((id) => guid.test(id)),
    email: user.email,
    // Auth0 sets the address as the name of users who have not given one.
    name: user.name === user.email ? undefined : user.name,
    email_verified: user.email_verified,
    password_hash: hashes.get(user.user_id),
    created_at: user.created_at,
    phone: user.phone_number,
    app_metadata: { ...user.app_metadata, auth0_user_id: user.user_id },
    user_metadata: user.user_metadata,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** The objects of a file with one JSON object in each line. */
async function* objectsOf(file) {
  let rest = '';
  for await (const chunk of createReadStream(file, 'utf8')) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    for (const line of lines) if (line.trim()) yield JSON.parse(line);
  }
  if (rest.trim()) yield JSON.parse(rest);
}
