import type { JsonValue } from '@bufbuild/protobuf';

/** The values of the messages of projects in docs/api.md. */
export const valuesOfProjects: Readonly<Record<string, JsonValue>> = {
  'Project.id': '019ac5cf-1d42-7c3e-9a60-4be8f7d2c915',
  'Project.slug': 'engines',
  'Project.publishable_key': 'ghpub_Zt5vQ8nLr2XwKc7bYp1MdGfHs3JaE6uT',
  'ServiceKey.name': 'billing',
  'ServiceKey.scopes': 'SessionService.Introspect',
  'ProjectSettings.anonymous_sign_in': true,
  'ProjectSettings.password_min_length': 12,
  'ProjectSettings.site_url': 'https://engines.example.org',
  'ProjectSettings.frontend_url': 'https://engines.example.org',
  'ProjectSettings.app_name': 'Engines',
  'ProjectSettings.app_url': 'https://engines.example.org',
  'ProjectSettings.logo_url': 'https://engines.example.org/logo.png',
  'ProjectSettings.accent_color': '#7a1fa2',
  'ProjectSettings.limits': 'AuthService.SignIn=10',
  'ProjectSettings.redirect_urls': { values: ['https://*.engines.example.org/**'] },
  'ProjectSettings.providers': { values: ['google'] },
  'ProjectSettings.auto_confirm_email': false,
  'ProjectSettings.email_verification': true,
  'ProjectSettings.sign_up': true,
};
