//! The kinds of node of a parse tree that we know. What is on no list here is strange, and held.

/// Parts of statements: every kind the raw parser makes below a statement.
const PARTS: &[&str] = &[
    "AArrayExpr",
    "AConst",
    "AExpr",
    "AIndices",
    "AIndirection",
    "AStar",
    "AccessPriv",
    "Alias",
    "AlterTableCmd",
    "AtAlterConstraint",
    "BitString",
    "BoolExpr",
    "Boolean",
    "BooleanTest",
    "CaseExpr",
    "CaseWhen",
    "CoalesceExpr",
    "CollateClause",
    "ColumnDef",
    "ColumnRef",
    "CommonTableExpr",
    "Constraint",
    "CreateOpClassItem",
    "CteCycleClause",
    "CteSearchClause",
    "CurrentOfExpr",
    "DefElem",
    "Float",
    "FuncCall",
    "FunctionParameter",
    "GroupingFunc",
    "GroupingSet",
    "IndexElem",
    "InferClause",
    "Integer",
    "IntoClause",
    "JoinExpr",
    "JsonAggConstructor",
    "JsonArgument",
    "JsonArrayAgg",
    "JsonArrayConstructor",
    "JsonArrayQueryConstructor",
    "JsonBehavior",
    "JsonFormat",
    "JsonFuncExpr",
    "JsonIsPredicate",
    "JsonKeyValue",
    "JsonObjectAgg",
    "JsonObjectConstructor",
    "JsonOutput",
    "JsonParseExpr",
    "JsonReturning",
    "JsonScalarExpr",
    "JsonSerializeExpr",
    "JsonTable",
    "JsonTableColumn",
    "JsonTablePathSpec",
    "JsonValueExpr",
    "List",
    "LockingClause",
    "MergeSupportFunc",
    "MergeWhenClause",
    "MinMaxExpr",
    "MultiAssignRef",
    "NamedArgExpr",
    "NullTest",
    "ObjectWithArgs",
    "OnConflictClause",
    "ParamRef",
    "PartitionBoundSpec",
    "PartitionCmd",
    "PartitionElem",
    "PartitionRangeDatum",
    "PartitionSpec",
    "PublicationObjSpec",
    "PublicationTable",
    "RangeFunction",
    "RangeSubselect",
    "RangeTableFunc",
    "RangeTableFuncCol",
    "RangeTableSample",
    "RangeVar",
    "ReplicaIdentityStmt",
    "ResTarget",
    "ReturnStmt",
    "ReturningClause",
    "ReturningOption",
    "RoleSpec",
    "RowExpr",
    "SetToDefault",
    "SortBy",
    "SqlValueFunction",
    "StatsElem",
    "String",
    "SubLink",
    "TableLikeClause",
    "TriggerTransition",
    "TypeCast",
    "TypeName",
    "VacuumRelation",
    "WindowDef",
    "WithClause",
    "XmlExpr",
    "XmlSerialize",
];

/// Places that may be empty: the kind of the parent and the field. Anywhere else an empty place is a node that the
/// parser's message could not express, and we would not see what stands there.
const EMPTY: &[(&str, &str)] = &[
    // SELECT DISTINCT without ON.
    ("SelectStmt", "distinct_clause"),
    // A function in FROM without a column definition list.
    ("List", "items"),
    // An aggregate or operator without one of its arguments.
    ("DefineStmt", "args"),
    ("ObjectWithArgs", "objargs"),
];

pub(super) fn is_part(kind: &str) -> bool {
    PARTS.binary_search(&kind).is_ok()
}

pub(super) fn may_be_empty(parent: &str, field: &str) -> bool {
    EMPTY.contains(&(parent, field))
}

#[cfg(test)]
mod tests {
    #[test]
    fn parts_are_sorted() {
        assert!(super::PARTS.is_sorted());
    }
}
