//! Statements that define things: schema, code, rights, and what leaves the database.

use pg_query::protobuf::{AlterTableType, DropBehavior, GrantTargetType, ObjectType, RoleSpecType};

use super::fact::{Deed, Name, Object};
use super::statement::{option, relation_name};
use super::tree::Node;

/// What a statement does and the node to point at; nothing for a kind of statement that is not on the list.
pub(super) fn deeds<'t>(node: Node<'t>) -> Option<Vec<(Deed, Option<Node<'t>>)>> {
    let relation = node.child("relation");
    let one = |deed: Deed| Some(vec![(deed, relation)]);
    match node.kind() {
        "CreateStmt" => one(created(relation, "create a table", Object::Table)),
        "CreateSeqStmt" => one(created(node.child("sequence"), "create a sequence", Object::Sequence)),
        "AlterSeqStmt" => one(altered(node.child("sequence"), "alter a sequence", Object::Sequence)),
        "ViewStmt" => one(created(node.child("view"), "create a view", Object::View)),
        "IndexStmt" => one(altered(relation, "create an index", Object::Index)),
        "CreateTableAsStmt" => {
            let into = node.child("into").and_then(|into| into.child("rel"));
            let view = node.choice::<ObjectType>("objtype") == ObjectType::ObjectMatview;
            one(match view {
                true => created(into, "create a materialized view", Object::MaterializedView),
                false => created(into, "create a table", Object::Table),
            })
        }
        "RefreshMatViewStmt" => one(altered(relation, "refresh a materialized view", Object::MaterializedView)),
        "CompositeTypeStmt" | "CreateEnumStmt" | "CreateRangeStmt" => one(define("create a type", Object::Type)),
        "AlterEnumStmt" => one(define("alter a type", Object::Type)),
        "CreateSchemaStmt" => one(define("create a schema", Object::Schema)),
        "CreateStatsStmt" | "AlterStatsStmt" => one(define("define statistics", Object::Other)),
        "CommentStmt" => one(define("comment on an object", Object::Other)),
        "SecLabelStmt" => one(define("label an object", Object::Other)),
        "AlterCollationStmt" => one(define("alter a collation", Object::Other)),
        "AlterTableMoveAllStmt" => one(define("move tables to another tablespace", Object::Table)),
        "AlterTsDictionaryStmt" | "AlterTsConfigurationStmt" => one(define("alter text search", Object::Other)),
        "CreatedbStmt" => one(define("create a database", Object::Database)),
        "AlterDatabaseStmt" | "AlterDatabaseRefreshCollStmt" => one(define("alter a database", Object::Database)),
        "AlterTableStmt" => Some(alter_table(node)),
        "RenameStmt" => Some(vec![(renamed(node, "rename"), relation)]),
        "AlterObjectSchemaStmt" => Some(vec![(renamed(node, "move to another schema"), relation)]),
        "AlterObjectDependsStmt" => one(code("change what a function depends on")),
        "DropStmt" => Some(vec![(dropped(node), None)]),
        "DropdbStmt" => {
            one(Deed::Drop { object: Object::Database, names: vec![Name::bare(node.text("dbname"))], cascade: false })
        }
        "DropOwnedStmt" => one(Deed::Drop { object: Object::Schema, names: Vec::new(), cascade: true }),
        kind => code_deeds(node, kind).or_else(|| rights(node, kind)).or_else(|| operations(node, kind)),
    }
}

/// What runs later, on other people's statements.
fn code_deeds<'t>(node: Node<'t>, kind: &str) -> Option<Vec<(Deed, Option<Node<'t>>)>> {
    let what = match kind {
        "CreateFunctionStmt" => return Some(function(node)),
        "AlterFunctionStmt" => return Some(altered_function(node)),
        "CreateTrigStmt" => "create a trigger",
        "RuleStmt" => "create a rule",
        "CreatePolicyStmt" => "create a row security policy",
        "AlterPolicyStmt" => "alter a row security policy",
        "CreateEventTrigStmt" => "create an event trigger",
        "AlterEventTrigStmt" => "alter an event trigger",
        "CreateCastStmt" => "create a cast",
        "CreateTransformStmt" => "create a transform",
        "CreateConversionStmt" => "create a conversion",
        "CreateOpClassStmt" | "CreateOpFamilyStmt" | "AlterOpFamilyStmt" => "define an operator class",
        "AlterOperatorStmt" => "alter an operator",
        "AlterTypeStmt" => "alter a type's functions",
        "CreateDomainStmt" => "create a domain",
        "AlterDomainStmt" => "alter a domain",
        "DefineStmt" => match node.choice::<ObjectType>("kind") {
            ObjectType::ObjectAggregate => "create an aggregate",
            ObjectType::ObjectOperator => "create an operator",
            ObjectType::ObjectType => "create a type",
            _ => "define a text search or collation object",
        },
        _ => return None,
    };
    Some(vec![(code(what), node.child("relation").or_else(|| node.child("table")))])
}

/// Who may do what, and who is who.
fn rights<'t>(node: Node<'t>, kind: &str) -> Option<Vec<(Deed, Option<Node<'t>>)>> {
    let role = |what| Some(vec![(Deed::Role { what }, None)]);
    match kind {
        "GrantStmt" => Some(vec![(granted(node), None)]),
        "AlterDefaultPrivilegesStmt" => {
            let public = node.child("action").is_some_and(gives_to_public);
            let what = "change the rights on objects made later";
            Some(vec![(Deed::Privilege { what, public }, None)])
        }
        "AlterOwnerStmt" => Some(vec![(Deed::Owner { what: "change an object's owner" }, None)]),
        "ReassignOwnedStmt" => Some(vec![(Deed::Owner { what: "change the owner of everything a role owns" }, None)]),
        "GrantRoleStmt" => role("change the members of a role"),
        "CreateRoleStmt" => role("create a role"),
        "AlterRoleStmt" => role("alter a role"),
        "AlterRoleSetStmt" => role("change what a role's sessions start with"),
        "AlterDatabaseSetStmt" => role("change what a database's sessions start with"),
        "DropRoleStmt" => role("drop a role"),
        _ => None,
    }
}

/// Maintenance, and what reaches beyond the database.
fn operations<'t>(node: Node<'t>, kind: &str) -> Option<Vec<(Deed, Option<Node<'t>>)>> {
    let what = match kind {
        "LockStmt" => {
            let relations = node.children("relations").map(relation_name).collect();
            let mode = u8::try_from(node.integer("mode")).unwrap_or(u8::MAX);
            return Some(vec![(Deed::Lock { relations, mode }, node.child("relations"))]);
        }
        "VacuumStmt" if !node.flag("is_vacuumcmd") => return maintenance("analyze a table", false),
        "VacuumStmt" if option(node.children("options"), "full") => {
            return maintenance("rewrite a table with VACUUM FULL", true);
        }
        "VacuumStmt" => return maintenance("vacuum a table", false),
        "ClusterStmt" => return maintenance("rewrite a table in the order of an index", true),
        "ReindexStmt" => return maintenance("rebuild an index", true),
        "CreateExtensionStmt" => "install an extension",
        "AlterExtensionStmt" | "AlterExtensionContentsStmt" => "alter an extension",
        "CreateFdwStmt" | "AlterFdwStmt" => "define a foreign data wrapper",
        "CreateForeignServerStmt" | "AlterForeignServerStmt" => "define a foreign server",
        "CreateForeignTableStmt" => "create a foreign table",
        "CreateUserMappingStmt" | "AlterUserMappingStmt" | "DropUserMappingStmt" => {
            "change a login for a foreign server"
        }
        "ImportForeignSchemaStmt" => "import tables of a foreign server",
        "CreateAmStmt" => "create an access method",
        "CreatePLangStmt" => "install a language",
        "CreateTableSpaceStmt" | "DropTableSpaceStmt" | "AlterTableSpaceOptionsStmt" => "change a tablespace",
        "CreatePublicationStmt" | "AlterPublicationStmt" => "publish tables to other servers",
        "CreateSubscriptionStmt" | "AlterSubscriptionStmt" | "DropSubscriptionStmt" => "change a subscription",
        "LoadStmt" => "load a shared library into the server",
        "AlterSystemStmt" => "change the server's configuration",
        "CheckPointStmt" => "force a checkpoint",
        _ => return None,
    };
    Some(vec![(Deed::Outside { what }, None)])
}

fn maintenance<'t>(what: &'static str, heavy: bool) -> Option<Vec<(Deed, Option<Node<'t>>)>> {
    Some(vec![(Deed::Maintain { what, heavy }, None)])
}

/// A new relation. `CREATE TEMP` and `CREATE … pg_temp.x` make it the session's own.
pub(super) fn created(relation: Option<Node<'_>>, what: &'static str, object: Object) -> Deed {
    let temporary = relation
        .is_some_and(|relation| relation.text("relpersistence") == "t" || relation.text("schemaname") == "pg_temp");
    Deed::Define { what, object, name: relation.map(relation_name), temporary }
}

fn altered(relation: Option<Node<'_>>, what: &'static str, object: Object) -> Deed {
    Deed::Define { what, object, name: relation.map(relation_name), temporary: false }
}

fn define(what: &'static str, object: Object) -> Deed {
    Deed::Define { what, object, name: None, temporary: false }
}

fn code(what: &'static str) -> Deed {
    Deed::Code { what, name: None }
}

fn renamed(node: Node<'_>, what: &'static str) -> Deed {
    let kind = node.choice::<ObjectType>(if node.kind() == "RenameStmt" { "rename_type" } else { "object_type" });
    match object(kind) {
        Object::Role => Deed::Role { what: "rename a role" },
        Object::Code => code(what),
        Object::Server => Deed::Outside { what: "rename a server object" },
        object => Deed::Define { what, object, name: node.child("relation").map(relation_name), temporary: false },
    }
}

fn function<'t>(node: Node<'t>) -> Vec<(Deed, Option<Node<'t>>)> {
    /// Languages whose functions can do no more than SQL can.
    const TRUSTED: [&str; 2] = ["sql", "plpgsql"];
    let language = node
        .children("options")
        .find(|option| option.text("defname") == "language")
        .and_then(|option| option.child("arg"))
        .map_or_else(|| "sql".to_owned(), |arg| arg.text("sval").to_ascii_lowercase());
    let what = if node.flag("is_procedure") { "create a procedure" } else { "create a function" };
    let name = Some(Name::of_words(node.words("funcname")));
    let outside = (!TRUSTED.contains(&language.as_str()))
        .then_some((Deed::Outside { what: "create a function in a language that can leave the database" }, None));
    let code = Deed::Code { what, name };
    [(code, None)].into_iter().chain(outside).collect()
}

fn altered_function<'t>(node: Node<'t>) -> Vec<(Deed, Option<Node<'t>>)> {
    let changes_rights = node.children("actions").any(|action| action.text("defname") == "security");
    let mut deeds = vec![(code("alter a function"), None)];
    if changes_rights {
        deeds.push((Deed::Privilege { what: "change whose rights a function runs with", public: false }, None));
    }
    deeds
}

fn granted(node: Node<'_>) -> Deed {
    let what = match (node.flag("is_grant"), node.choice::<GrantTargetType>("targtype")) {
        (false, _) => "revoke rights",
        (true, GrantTargetType::AclTargetAllInSchema) => "grant rights on everything in a schema",
        (true, _) => "grant rights",
    };
    Deed::Privilege { what, public: gives_to_public(node) }
}

fn gives_to_public(grant: Node<'_>) -> bool {
    grant.flag("is_grant")
        && grant
            .children("grantees")
            .any(|grantee| grantee.choice::<RoleSpecType>("roletype") == RoleSpecType::RolespecPublic)
}

/// One deed for each command of an ALTER TABLE, and one more for each that takes others down with it.
fn alter_table<'t>(node: Node<'t>) -> Vec<(Deed, Option<Node<'t>>)> {
    let relation = node.child("relation");
    let name = relation.map_or_else(|| Name::bare(""), relation_name);
    let kind = object(node.choice::<ObjectType>("objtype"));
    let mut deeds = Vec::new();
    for command in node.children("cmds") {
        let deed = alter_deed(command, &name, kind);
        let is_drop = matches!(deed, Deed::DropPart { .. });
        deeds.push((deed, relation));
        if !is_drop && cascades(command) {
            deeds.push((Deed::DropPart { what: "everything that depends on it", of: name.clone() }, relation));
        }
    }
    deeds
}

fn alter_deed(command: Node<'_>, name: &Name, object: Object) -> Deed {
    use AlterTableType as T;
    let define = |what| Deed::Define { what, object, name: Some(name.clone()), temporary: false };
    let armed = |what| Deed::Code { what, name: Some(name.clone()) };
    match command.choice::<T>("subtype") {
        T::AtDropColumn if object == Object::Type => Deed::DropPart { what: "an attribute", of: name.clone() },
        T::AtDropColumn => Deed::DropPart { what: "a column", of: name.clone() },
        T::AtAddColumn | T::AtAddColumnToView => define("add a column"),
        T::AtAlterColumnType => define("change a column's type"),
        T::AtColumnDefault | T::AtCookedColumnDefault | T::AtSetExpression => armed("change a column's default"),
        T::AtEnableTrig | T::AtEnableAlwaysTrig | T::AtEnableReplicaTrig | T::AtDisableTrig => {
            armed("switch a trigger on or off")
        }
        T::AtEnableTrigAll | T::AtDisableTrigAll | T::AtEnableTrigUser | T::AtDisableTrigUser => {
            armed("switch triggers on or off")
        }
        T::AtEnableRule | T::AtEnableAlwaysRule | T::AtEnableReplicaRule | T::AtDisableRule => {
            armed("switch a rule on or off")
        }
        T::AtEnableRowSecurity | T::AtDisableRowSecurity | T::AtForceRowSecurity | T::AtNoForceRowSecurity => {
            Deed::Privilege { what: "switch row security on or off", public: false }
        }
        T::AtChangeOwner => Deed::Owner { what: "change an object's owner" },
        T::AtGenericOptions | T::AtAlterColumnGenericOptions => {
            Deed::Outside { what: "change how a foreign table reaches its server" }
        }
        T::AtAddConstraint | T::AtAddIndexConstraint => define("add a constraint"),
        T::AtDropConstraint => define("drop a constraint"),
        T::AtValidateConstraint => define("check a constraint against every row"),
        T::AtAttachPartition => define("attach a partition"),
        T::AtDetachPartition | T::AtDetachPartitionFinalize => define("detach a partition"),
        // Everything else changes how the object is described or stored.
        _ => define("alter an object"),
    }
}

fn cascades(node: Node<'_>) -> bool {
    node.choice::<DropBehavior>("behavior") == DropBehavior::DropCascade
}

fn dropped(node: Node<'_>) -> Deed {
    let kind = node.choice::<ObjectType>("remove_type");
    // `pg_temp.x` is the one name that a rule must know; the rest is for the message.
    let name = |item: Node<'_>| match item.kind() {
        "List" => Name::of_words(item.words("items")),
        "TypeName" => Name::of_words(item.words("names")),
        "ObjectWithArgs" => Name::of_words(item.words("objname")),
        _ => Name::bare(item.text("sval")),
    };
    let object = object(kind);
    if object == Object::Server {
        return Deed::Outside { what: "drop a server object" };
    }
    Deed::Drop { object, names: node.children("objects").map(name).collect(), cascade: cascades(node) }
}

fn object(kind: ObjectType) -> Object {
    use ObjectType as O;
    match kind {
        O::ObjectTable | O::ObjectColumn | O::ObjectTabconstraint => Object::Table,
        O::ObjectView => Object::View,
        O::ObjectMatview => Object::MaterializedView,
        O::ObjectForeignTable => Object::ForeignTable,
        O::ObjectSequence => Object::Sequence,
        O::ObjectIndex => Object::Index,
        O::ObjectSchema => Object::Schema,
        O::ObjectDatabase => Object::Database,
        O::ObjectType | O::ObjectAttribute => Object::Type,
        O::ObjectAggregate | O::ObjectFunction | O::ObjectProcedure | O::ObjectRoutine => Object::Code,
        O::ObjectTrigger | O::ObjectEventTrigger | O::ObjectRule | O::ObjectPolicy => Object::Code,
        O::ObjectDomain | O::ObjectDomconstraint | O::ObjectDefault | O::ObjectTransform => Object::Code,
        O::ObjectOperator | O::ObjectOpclass | O::ObjectOpfamily | O::ObjectAmop | O::ObjectAmproc => Object::Code,
        O::ObjectCast | O::ObjectConversion => Object::Code,
        O::ObjectRole => Object::Role,
        O::ObjectAccessMethod | O::ObjectExtension | O::ObjectFdw | O::ObjectForeignServer => Object::Server,
        O::ObjectLanguage | O::ObjectTablespace | O::ObjectUserMapping | O::ObjectLargeobject => Object::Server,
        O::ObjectPublication | O::ObjectPublicationNamespace | O::ObjectPublicationRel | O::ObjectSubscription => {
            Object::Server
        }
        O::ObjectCollation | O::ObjectStatisticExt | O::ObjectDefacl | O::ObjectParameterAcl => Object::Other,
        O::ObjectTsconfiguration | O::ObjectTsdictionary | O::ObjectTsparser | O::ObjectTstemplate => Object::Other,
        O::Undefined => Object::Other,
    }
}
