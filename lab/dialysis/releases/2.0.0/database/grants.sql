-- 应用角色的最小权限：不能删除，不能改结构，不能直接写审计。
-- The application's least rights; run as the owner after schema.sql.
REVOKE ALL ON SCHEMA dialysis FROM PUBLIC;
GRANT USAGE ON SCHEMA dialysis TO dialysis_app;
GRANT SELECT ON dialysis.schema_version, dialysis.dictionary, dialysis.knowledge, dialysis.staff,
    dialysis.machines, dialysis.prescriptions, dialysis.patients, dialysis.vascular_access,
    dialysis.sessions, dialysis.vitals, dialysis.lab_results, dialysis.consumables,
    dialysis.consumable_usage, dialysis.interface_queue TO dialysis_app;
GRANT INSERT ON dialysis.sessions, dialysis.vitals, dialysis.lab_results, dialysis.consumable_usage,
    dialysis.interface_queue TO dialysis_app;
GRANT UPDATE (state, started_at, ended_at, pre_weight, post_weight, uf_goal_ml, uf_volume_ml, ktv, nurse_id)
    ON dialysis.sessions TO dialysis_app;
GRANT UPDATE (value, unit, reference, flag, reported_at, queue_id) ON dialysis.lab_results TO dialysis_app;
GRANT UPDATE (state, attempts, error, processed_at) ON dialysis.interface_queue TO dialysis_app;
GRANT UPDATE (stock) ON dialysis.consumables TO dialysis_app;
