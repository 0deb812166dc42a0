import { UserMail } from '../src/auth/user-mail.ts';
import { Passwords } from '../src/user/password.ts';

/*
 * The service with the leaks that timing.ts must detect: no hash is computed for a user without a password, and no mail is
 * prepared for an unknown address. No setting of the service does this.
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
