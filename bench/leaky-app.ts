import { Passwords } from '../src/user/password.ts';

/*
 * The service with the leak that timing.ts must be able to see: no hash is computed for who has none. Nothing in src can
 * be switched to this.
 */
const honest = Passwords.prototype.matches;
Passwords.prototype.matches = async function (stored, password, signal) {
  return stored ? honest.call(this, stored, password, signal) : false;
};
await import('../src/main.ts');
