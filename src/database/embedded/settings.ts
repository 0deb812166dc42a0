/** The server's settings as arguments, which override what an older version wrote into a configuration file. */
export function settings(fast: boolean, maxConnections: number): string[] {
  const chosen = { ...always, max_connections: maxConnections, ...(fast ? withoutDurability : {}) };
  return Object.entries(chosen).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

const always = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  timezone: 'UTC',
  log_timezone: 'UTC',

  // A small installation: little memory, few processes, little disk.
  shared_buffers: '64MB',
  max_wal_size: '256MB',
  io_method: 'sync',
  max_logical_replication_workers: 0,
  jit: 'off',

  // postgres.ts reads these lines. Statements and values may hold secrets.
  log_line_prefix: '%b[%p] ',
  log_min_messages: 'warning',
  log_min_error_statement: 'panic',
  log_statement: 'none',
  log_parameter_max_length: 0,
  log_parameter_max_length_on_error: 0,
  log_checkpoints: 'off',
};

const withoutDurability = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: 0,
  autovacuum: 'off',
};
