-- 出厂字典与知识库 2026.1。
-- The dictionaries and the knowledge base that the release ships with; run as the owner.
SET search_path = dialysis, pg_catalog;

INSERT INTO dictionary (category, code, name, sort_order) VALUES
    ('mode', 'HD', '血液透析', 1),
    ('mode', 'HDF', '血液透析滤过', 2),
    ('mode', 'HP', '血液灌流', 3),
    ('mode', 'HD+HP', '血液透析联合灌流', 4),
    ('shift', '1', '上午班', 1),
    ('shift', '2', '下午班', 2),
    ('shift', '3', '晚间班', 3),
    ('state', 'booked', '已预约', 1),
    ('state', 'running', '治疗中', 2),
    ('state', 'closed', '已结束', 3),
    ('access', 'AVF', '自体动静脉内瘘', 1),
    ('access', 'AVG', '人工血管内瘘', 2),
    ('access', 'TCC', '带隧道带涤纶套导管', 3),
    ('access', 'NCC', '无隧道无涤纶套导管', 4),
    ('anticoagulant', 'UFH', '普通肝素', 1),
    ('anticoagulant', 'LMWH', '低分子肝素', 2),
    ('anticoagulant', 'CITRATE', '枸橼酸钠', 3),
    ('anticoagulant', 'NONE', '无抗凝', 4),
    ('infection', 'none', '普通区', 1),
    ('infection', 'hbv', '乙肝区', 2),
    ('infection', 'hcv', '丙肝区', 3);

INSERT INTO dictionary (category, code, name, unit, low, high, sort_order) VALUES
    ('lab', 'HGB', '血红蛋白', 'g/L', 110, 130, 1),
    ('lab', 'ALB', '白蛋白', 'g/L', 40, 55, 2),
    ('lab', 'K', '钾', 'mmol/L', 3.5, 5.5, 3),
    ('lab', 'CA', '钙', 'mmol/L', 2.1, 2.5, 4),
    ('lab', 'P', '磷', 'mmol/L', 1.13, 1.78, 5),
    ('lab', 'PTH', '全段甲状旁腺激素', 'pg/mL', 150, 600, 6),
    ('lab', 'UREA', '尿素', 'mmol/L', 3.1, 8, 7),
    ('lab', 'CREA', '肌酐', 'μmol/L', 57, 111, 8),
    ('lab', 'FERR', '铁蛋白', 'ng/mL', 200, 500, 9),
    ('lab', 'CRP', 'C反应蛋白', 'mg/L', 0, 8, 10);

INSERT INTO knowledge (version, code, title, parameter, low, high, advice) VALUES
    ('2026.1', 'BP-LOW', '透析中低血压', 'systolic', 90, NULL, '减慢超滤，取头低位，必要时补液并报告医师'),
    ('2026.1', 'BP-HIGH', '透析中高血压', 'systolic', NULL, 180, '核对干体重与降压药，报告医师'),
    ('2026.1', 'HR-LOW', '心率过慢', 'heart_rate', 50, NULL, '行心电图，报告医师'),
    ('2026.1', 'HR-HIGH', '心率过快', 'heart_rate', NULL, 120, '核对超滤率，行心电图，报告医师'),
    ('2026.1', 'VP-HIGH', '静脉压过高', 'venous_pressure', NULL, 200, '检查静脉端管路与穿刺针位置'),
    ('2026.1', 'TMP-HIGH', '跨膜压过高', 'transmembrane_pressure', NULL, 300, '检查透析器是否凝血'),
    ('2026.1', 'T-HIGH', '发热', 'temperature', NULL, 37.5, '排查感染与透析液温度'),
    ('2026.1', 'UFR-HIGH', '超滤率过高', 'uf_rate', NULL, 1200, '延长治疗时间或调整超滤目标');
