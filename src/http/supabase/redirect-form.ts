/** Values for the fragment of the place that a browser is led back to. */
export function formOf(values: Readonly<Record<string, unknown>>): string {
  return new URLSearchParams(
    Object.entries(values).map(([name, value]): [string, string] => [name, `${value}`]),
  ).toString();
}

/** The errors of OAuth for redirects (RFC 6749, section 4.1.2.1), by status. */
export const oauthErrors: Readonly<Record<number, string>> = {
  400: 'invalid_request',
  401: 'unauthorized_client',
  403: 'access_denied',
  500: 'server_error',
  503: 'temporarily_unavailable',
};
