import { UserMail } from '../src/auth/user-mail.ts';
import { Passwords } from '../src/user/password.ts';

/*
 * The service with the leaks that timing.ts must be able to see: no hash is computed for a user without one, and no mail
 * is written for an unknown address. Nothing in src can be switched to this.
 */
const honest = Passwords.prototype.matches;
Passwords.prototype.matches = async function (stored, password, signal) {
  return stored ? honest.call(this, stored, password, signal) : false;
};
const write = UserMail.prototype.send;
UserMail.prototype.send = async function (em, mail, now) {
  if (mail.to) await write.call(this, em, mail, now);
};
await import('../src/main.ts');
