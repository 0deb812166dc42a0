import { UserMail } from '../src/auth/user-mail.ts';
import { Passwords } from '../src/user/password.ts';

/*
 * The service with the leaks that timing.ts must be able to see: no hash is computed for who has none, and no letter is
 * written to nobody. Nothing in src can be switched to this.
 */
const honest = Passwords.prototype.matches;
Passwords.prototype.matches = async function (stored, password, signal) {
  return stored ? honest.call(this, stored, password, signal) : false;
};
const write = UserMail.prototype.send;
UserMail.prototype.send = async function (em, kind, to, now) {
  if (to) await write.call(this, em, kind, to, now);
};
await import('../src/main.ts');
