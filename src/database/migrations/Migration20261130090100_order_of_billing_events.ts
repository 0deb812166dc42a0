import { Migration } from '@mikro-orm/migrations';

export class Migration20261130090100_order_of_billing_events extends Migration {
  override name = 'Migration20261130090100_order_of_billing_events';

  override up(): void | Promise<void> {
    this.addSql(
      `alter table "subscriptions" add "last_event_rank" smallint not null default 0, add "plan_order" bigint null, add "current_period_start_order" bigint null, add "current_period_end_order" bigint null;`,
    );
    // What earlier events have set belongs to the last of them.
    this.addSql(
      `update "subscriptions" set ("plan_order", "current_period_start_order", "current_period_end_order") = (select o, o, o from (select floor(extract(epoch from "last_event_at") * 1000)::bigint * 4 as o) as orders) where "last_event_at" is not null;`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(
      `alter table "subscriptions" drop column "last_event_rank", drop column "plan_order", drop column "current_period_start_order", drop column "current_period_end_order";`,
    );
  }
}
