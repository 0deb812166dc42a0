import { ada } from './people.ts';
import type { TestService, Wire } from './start.ts';

/** Seconds between two polls. */
export const interval = 5;

export const verified = { ...ada, emailVerified: true };

export const nonce = 'a-nonce-of-32-characters-_-_-_-_';

/** The clients of a service for CLI logins: the program's and the browser's. */
export function cliLogins(service: TestService, wire: Wire, replica = 0) {
  const { devices, auth, sessions, admin } = service.clients(wire, replica);
  return {
    devices,
    auth,
    sessions,
    admin,
    start: (request = {}) => devices.startCliLogin(request),
    /** A login with a guest whom the program is signed in as. */
    async startAsGuest() {
      const guest = await service.guest();
      const login = await devices.startCliLogin({ anonRefreshToken: guest.tokens.refreshToken });
      return { guest, ...login };
    },
    poll: (pollingCode: string, clientNonce = '') => devices.pollCliLogin({ pollingCode, clientNonce }),
    /** Polls after the interval. */
    pollLater(pollingCode: string, clientNonce = '') {
      service.pass(interval);
      return devices.pollCliLogin({ pollingCode, clientNonce });
    },
  };
}
