import { AuthError, invalid } from './auth-error.ts';

/** The service sends no text messages. Numbers are checked all the same, so that a client sees its own mistake first. */
export function requirePhone(phone: string): void {
  if (!/^\+?[1-9]\d{1,14}$/.test(phone.replaceAll(' ', '')))
    throw invalid('Invalid phone number format (E.164 required)');
}

export function phoneIsOff(status: 400 | 422, text = 'Unsupported phone provider'): AuthError {
  return new AuthError(status, 'phone_provider_disabled', text);
}
